"""Trains one stage of GAD.

    python -m recipes.gad.train SETTINGS.json --model MODEL --data DATA --work WORK --out OUT \\
        [--start WARMUP_OUT --reference WARMUP_ACTOR_HF]        (the last two for mode adversarial, and only there)

Afterwards OUT holds `actor/` and `critic/` (verl role folders; seqkd has no critic), `complete.json` and metrics.json.
Started again with the same WORK it goes on from the newest complete checkpoint there.
"""

from statistics import fmean
from typing import Any

from recipes.common.stage import files
from recipes.common.stage.command import Mistake, StopSignal, run
from recipes.common.stage.inputs import read_inputs, resolve
from recipes.common.stage.settings import read_settings
from recipes.common.verl import checkpoints, hardware
from recipes.common.verl.checkpoints import Checkpoint
from recipes.common.verl.run import find_checkpoint, train
from recipes.common.verl.stage import Stage, read_history
from recipes.gad.settings import Settings
from recipes.gad.verl_config import Inputs, verl_overrides

RECENT = 10
"""Steps that a mean at the stage's end covers."""

TENSORS = 16
"""Tensors of each network that are compared with where it started."""

NAMES = {
    "d_acc": "critic/d_acc",
    "d_loss": "critic/d_loss",
    "actor_loss": "actor/loss",
    "kl": "actor/kl",
    "response_length": "response_length",
    "rouge_l": "val/rouge_l",
}


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs = resolve(read_inputs(__doc__, Inputs, argv))
    settings = read_settings(inputs.settings, Settings)
    check_inputs(settings, inputs)
    machine = hardware.detect(settings.device, settings.rollout, settings.ranks)
    resume = find_checkpoint(settings, inputs, machine, settings.roles)
    if not resume and inputs.start:
        start = checkpoints.read(inputs.start)
        if not start:
            raise Mistake(f"`{inputs.start}` has no `complete.json`", "`--start` is the output of a `warmup` stage")
        checkpoints.check(start, "warmup", settings.mode, machine.world_size, settings.roles)
    if not resume or resume.step < settings.steps:
        stage = Stage(
            settings, machine.world_size, inputs.work, settings.validate_every, resume=resume, start=inputs.start
        )
        train("recipes.gad.trainer:gad", verl_overrides(settings, inputs, machine), machine, stage, stop)
        resume = checkpoints.newest(inputs.work)
    checkpoints.export(resume, settings.roles, inputs.out)
    files.write_json(inputs.out / "metrics.json", summary(resume, settings, inputs))


def check_inputs(settings: Settings, inputs: Inputs) -> None:
    """Returns when the folders that the mode needs are there, and no others."""
    adversarial = settings.mode == "adversarial"
    for name in ("start", "reference"):
        if bool(getattr(inputs, name)) != adversarial:
            raise Mistake(
                f"mode `{settings.mode}` {'needs' if adversarial else 'does not use'} `--{name}`",
                "`--start` is the warmup stage's output, `--reference` its actor as Hugging Face folder",
            )
    required = [inputs.data / "train.parquet", inputs.data / "val.parquet", inputs.model / "config.json"]
    for path in [*required, *([inputs.reference / "config.json"] if inputs.reference else [])]:
        if not path.is_file():
            raise Mistake(f"no file `{path}`", "an earlier stage writes it: check the folder's name")


def summary(last: Checkpoint, settings: Settings, inputs: Inputs) -> dict[str, Any]:
    """What metrics.json holds. `*_change`: the largest |difference| to the weights the stage started from."""
    from recipes.common.checkpoint.difference import (
        largest_change,  # imports torch, which training does while Ray starts
    )

    history = list(read_history(inputs.work, last.step).values())
    numbers: dict[str, Any] = {"mode": settings.mode, "step": last.step, "world_size": last.world_size}
    for name, metric in NAMES.items():
        values = [metrics[metric] for metrics in history if metric in metrics]
        if values:
            numbers[name] = values[-1] if name == "rouge_l" else fmean(values[-RECENT:])
    if history:
        numbers["seconds_per_step"] = fmean(metrics["seconds"] for metrics in history)
    for role in settings.roles:
        before = inputs.start / role if inputs.start else inputs.model
        numbers[f"{role}_change"] = largest_change(before, inputs.out / role, TENSORS)
    return numbers


if __name__ == "__main__":
    run(main)
