"""Trains a stage of Token-Buncher: the defence, or an attack on a model.

    python -m recipes.token_buncher.train SETTINGS.json --model MODEL --data DATA --work WORK --out OUT

Afterwards OUT of a defence holds `actor/` (a verl role folder), `complete.json` and metrics.json. OUT of an attack
holds curve.json and metrics.json alone: its weights measure a defence and go nowhere; those in WORK are removed.
Started again with the same WORK it goes on from the newest complete checkpoint there.
"""

import shutil
from statistics import fmean
from typing import Any

from recipes.common.stage import files
from recipes.common.stage.command import Mistake, StopSignal, run
from recipes.common.stage.inputs import TrainingInputs, read_inputs, resolve
from recipes.common.stage.settings import read_settings
from recipes.common.verl import checkpoints, hardware
from recipes.common.verl.checkpoints import Checkpoint
from recipes.common.verl.hardware import Hardware
from recipes.common.verl.run import find_checkpoint, train
from recipes.common.verl.stage import Stage, read_history
from recipes.token_buncher import fit_to_gpu
from recipes.token_buncher.datasets.data_set import CHAT
from recipes.token_buncher.datasets.parquet import template_of
from recipes.token_buncher.settings import Settings
from recipes.token_buncher.verl_config import verl_overrides

ROLES = ("actor",)

MEASURED = "measured.json"
"""In WORK: what a finished attack was."""


TENSORS = 16
"""Tensors that are compared with the model's."""

CURVE = ("entropy", "reward", "spread", "kl", "noiser", "response_length", "actor/grad_norm")
"""What a curve shows of each step."""

PART = 5
"""A run's start and end are each a fifth of its steps."""


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs = resolve(read_inputs(__doc__, TrainingInputs, argv))
    written = read_settings(inputs.settings, Settings)
    vocabulary = check_inputs(inputs)
    machine = hardware.detect(written.device, written.rollout, written.ranks)
    gpu = fit_to_gpu.first_gpu(machine)
    settings = fit_to_gpu.fill_sizes(written, machine, gpu, vocabulary)
    print(fit_to_gpu.size_line(settings, machine, gpu), flush=True)
    resume = find_checkpoint(settings, inputs, machine, ROLES)
    if not (inputs.work / MEASURED).exists() and (not resume or resume.step < settings.steps):
        stage = Stage(settings, machine.world_size, inputs.work, settings.steps, resume=resume, start=None)
        overrides = verl_overrides(settings, inputs, machine)
        train("recipes.token_buncher.trainer:token_buncher", overrides, machine, stage, stop)
        resume = checkpoints.newest(inputs.work)
    inputs.out.mkdir(parents=True, exist_ok=True)
    if settings.mode == "attack":
        return write_measured(resume, settings, inputs, machine)
    return write_out(resume, settings, inputs, machine)


def check_inputs(inputs: TrainingInputs) -> int:
    """Returns the size of the model's vocabulary when the trainer can use the folders."""
    config = files.read_json(inputs.model / "config.json")
    if not config:
        raise Mistake(f"no model in `{inputs.model}`", "an earlier stage writes it: check the folder's name")
    for name in ("train.parquet", "test.parquet"):
        template = template_of(inputs.data / name)
        if template != CHAT:
            raise Mistake(
                f"`{inputs.data / name}` has the template `{template}` in its prompts, and verl adds the model's own",
                f"prepare it with `--template_type {CHAT}`",
            )
    return int(config["vocab_size"])


def write_out(last: Checkpoint, settings: Settings, inputs: TrainingInputs, machine: Hardware) -> None:
    """OUT of a defence is complete; metrics.json comes last."""
    checkpoints.export(last, ROLES, inputs.out)
    numbers = summary(last, settings, inputs) | fit_to_gpu.numbers(settings, machine)
    files.write_json(inputs.out / "metrics.json", numbers)


def write_measured(last: Checkpoint | None, settings: Settings, inputs: TrainingInputs, machine: Hardware) -> None:
    """OUT of an attack is complete, and its weights are gone. The measurements stay in WORK for another start."""
    if last and last.step == settings.steps:
        numbers = summary(last, settings, inputs) | fit_to_gpu.numbers(settings, machine)
        curve = {
            str(step): {name: metrics[name] for name in CURVE if name in metrics}
            for step, metrics in read_history(inputs.work, last.step).items()
        }
        files.write_json(inputs.work / MEASURED, {"metrics": numbers, "curve": curve})
    for folder in inputs.work.glob("global_step_*"):
        shutil.rmtree(folder)
    for name, value in files.read_json(inputs.work / MEASURED).items():
        files.write_json(inputs.out / f"{name}.json", value)


def summary(last: Checkpoint, settings: Settings, inputs: TrainingInputs) -> dict[str, Any]:
    """What metrics.json holds; `_first` and `_last` are means over the first and the last fifth of the steps."""
    from recipes.common.checkpoint.difference import (
        largest_change,  # imports torch, which training does while Ray starts
    )

    history = list(read_history(inputs.work, last.step).values())
    numbers: dict[str, Any] = {"mode": settings.mode, "step": last.step}
    part = max(1, len(history) // PART)
    for name in ("entropy", "reward", "spread", "kl", "response_length"):
        values = [metrics[name] for metrics in history if name in metrics]
        if len(values) == len(history) > 0:
            numbers |= {f"{name}_first": fmean(values[:part]), f"{name}_last": fmean(values[-part:])}
    if history:
        numbers["seconds_per_step"] = fmean(metrics["seconds"] for metrics in history)
        numbers["steps_left"] = settings.steps - last.step
        numbers["entropy_fall"] = numbers["entropy_first"] - numbers["entropy_last"]
    if settings.mode == "defend":
        numbers["noiser_steps"] = int(sum(metrics["noiser"] for metrics in history))
        numbers |= {"noise": settings.noise, "noise_form": settings.noise_form, "warmup_steps": settings.warmup}
    numbers["actor_change"] = largest_change(inputs.model, last.folder / "actor", TENSORS)
    return numbers


if __name__ == "__main__":
    run(main)
