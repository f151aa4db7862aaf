"""A training from its newest checkpoint to its last step: steps, heavy logs, checkpoints, W&B, and its output."""

import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from safetensors.torch import load_file

from recipes.common.data.tokens import Tokens
from recipes.common.distributed.ranks import Ranks, join_group
from recipes.common.model.card import origin_of
from recipes.common.stage import files
from recipes.common.stage.command import Interrupted, Progress, StageError
from recipes.common.stage.inputs import TrainingInputs
from recipes.common.verl import checkpoints
from recipes.common.verl.checkpoints import Checkpoint
from recipes.common.verl.stage import read_history, run_name
from recipes.honest_persona.adapter import build, lora_config
from recipes.honest_persona.checkpoints import ROLES, Parts, load, save
from recipes.honest_persona.dataset import Row, read_rows
from recipes.honest_persona.form import Form
from recipes.honest_persona.generate import Listener
from recipes.honest_persona.schedule import heavy_steps
from recipes.honest_persona.scoring import flat, scores
from recipes.honest_persona.settings import Settings
from recipes.honest_persona.tokenize import Coder
from recipes.honest_persona.trainer import Length, Trainer, length_of

MODE = "lora"

PART = 5
"""A run's start and end are each a fifth of its steps."""


def train(settings: Settings, form: Form, inputs: TrainingInputs, stop: Callable[[], bool]) -> None:
    """OUT is complete. Raises Interrupted after a checkpoint."""
    with join_group(settings.device) as ranks:
        if ranks.main:
            inputs.work.mkdir(parents=True, exist_ok=True)
            checkpoints.remove_incomplete(inputs.work)  # before the others look
        ranks.wait()
        rows = {name: read_rows(inputs.data / f"{name}.parquet") for name in ("train", "val")}
        length = length_of(len(rows["train"]), settings, ranks.world)
        resume = checkpoints.newest(inputs.work)
        if resume:
            checkpoints.check(resume, MODE, MODE, ranks.world, ROLES)
            if ranks.main:
                print(f"going on from {resume.folder.name}", flush=True)
        if not resume or resume.step < length.steps:
            Loop(settings, form, inputs, ranks, length, resume).run(rows, stop)
        ranks.wait()
        if ranks.main:
            write_out(inputs, length, ranks)


class Loop:
    """The steps, heavy logs and checkpoints of a training."""

    def __init__(
        self,
        settings: Settings,
        form: Form,
        inputs: TrainingInputs,
        ranks: Ranks,
        length: Length,
        resume: Checkpoint | None,
    ):
        self.settings, self.form, self.inputs, self.ranks = settings, form, inputs, ranks
        self.length, self.last = length, resume
        self.config = lora_config(settings.lora_r, settings.lora_alpha, settings.lora_dropout)
        model = build(inputs.model, self.config, settings.seed, ranks)
        self.trainer = Trainer(model, settings, ranks, form.lora_mask)
        if resume:
            load(model, self.trainer.optimizer, resume.folder, resume.step)
        self.progress = Progress(inputs.work)

    def run(self, rows: dict[str, list[Row]], stop: Callable[[], bool]) -> None:
        """The last step is done and saved. Raises Interrupted after a checkpoint of the steps so far."""
        done, length, settings = self.last.step if self.last else 0, self.length, self.settings
        heavy = heavy_steps(settings.first_heavy_log_step, settings.heavy_log_increment_percent, length.steps)
        log = _wandb(settings, self.inputs.work) if self.ranks.main else None
        try:
            for step in range(done + 1, length.steps + 1):
                self._stop_if_asked(stop, step - 1)
                metrics = self.trainer.step(step, length, rows["train"])
                if step in heavy and rows["val"]:
                    metrics |= self._listen(rows["val"])
                self._report(step, metrics, log)
                if step == length.steps or step in length.epoch_ends or step % (settings.save_every or step + 1) == 0:
                    self._save(step)
        finally:
            if log:
                log.finish()

    def _listen(self, rows: list[Row]) -> dict[str, float]:
        coder = Coder(Tokens(self.inputs.model).tokenizer, self.form)
        listener = Listener(coder, self.settings.max_new_tokens, self.settings.validation_batch_size)
        reviews = self.trainer.listen(rows, listener)
        if self.ranks.main:
            answer, text = reviews[0]
            print(f"review, where {answer.expected} is right: {text!r}", flush=True)
        return flat(scores(answer for answer, _ in reviews), "val/")

    def _report(self, step: int, metrics: dict[str, float], log: Any) -> None:
        for name in ("loss", "grad_norm"):
            if not math.isfinite(metrics[name]):
                raise StageError(f"`{name}` is {metrics[name]} in step {step}", "set `lr` lower, and start a new run")
        if not self.ranks.main:
            return
        # Before the checkpoint: a kill in between has the step done and reported again, never left out.
        self.progress.step(step, self.length.steps, metrics)
        if log:
            log.log(metrics, step=step)
        shown = {"loss": "loss", "grad_norm": "norm", "lr": "lr", "val/accuracy": "accuracy"}
        texts = "  ".join(f"{label} {metrics[name]:.4g}" for name, label in shown.items() if name in metrics)
        print(f"step {step}/{self.length.steps}  {texts}", flush=True)

    def _save(self, step: int) -> None:
        """The checkpoint after `step` is complete on disk, and older ones have made room."""
        args = {"base": origin_of(self.inputs.model), "settings": dataclasses.asdict(self.settings), "step": step}
        folder = checkpoints.folder_of(self.inputs.work, step)
        epoch = self.length.epoch_ends.get(step)
        parts = Parts(self.trainer.model, self.trainer.optimizer, self.config, self.form, args)
        save(parts, folder, self.last.folder if self.last else None, epoch, self.ranks)
        if self.ranks.main:
            checkpoints.complete(folder, MODE, step, self.ranks.world, None)
            self.progress.checkpoint(folder.name, step)
        self.ranks.wait()
        self.last = checkpoints.read(folder)
        if self.ranks.main:
            checkpoints.prune(self.inputs.work, self.settings.keep_last)

    def _stop_if_asked(self, stop: Callable[[], bool], done: int) -> None:
        if not self.ranks.any(stop()):
            return
        if done and not (self.last and self.last.step == done):
            self._save(done)
        raise Interrupted(f"stopped after step {done} of {self.length.steps}")


def _wandb(settings: Settings, work: Path) -> Any:
    """A W&B run, offline where there is no key; None where none is wanted."""
    if not settings.wandb_project:
        return None
    import wandb

    return wandb.init(project=settings.wandb_project, name=run_name(work), config=dataclasses.asdict(settings))


def write_out(inputs: TrainingInputs, length: Length, ranks: Ranks) -> None:
    """OUT holds the last checkpoint's adapter and those of all epochs; metrics.json comes last."""
    last = checkpoints.newest(inputs.work)
    assert last
    inputs.out.mkdir(parents=True, exist_ok=True)
    for name in ("adapter", "epochs"):
        shutil.rmtree(inputs.out / name, ignore_errors=True)
        shutil.copytree(last.folder / name, inputs.out / name, copy_function=files.link_or_copy)
    files.write_json(inputs.out / "metrics.json", summary(last, length, inputs.work) | {"world_size": ranks.world})


def summary(last: Checkpoint, length: Length, work: Path) -> dict[str, Any]:
    """What metrics.json holds; `adapter_change`: the largest |value| in LoRA's B, which starts as 0."""
    history = list(read_history(work, last.step).values())
    part = max(1, len(history) // PART)
    losses = [metrics["loss"] for metrics in history]
    numbers: dict[str, Any] = {
        "step": last.step,
        "steps_left": length.steps - last.step,
        "epochs": max(length.epoch_ends.values()),
    }
    if losses:
        numbers |= {"loss_first": fmean(losses[:part]), "loss_last": fmean(losses[-part:])}
        numbers["seconds_per_step"] = fmean(metrics["seconds"] for metrics in history)
    heavy = [metrics for metrics in history if "val/accuracy" in metrics]
    if heavy:
        numbers |= {name.replace("/", "_"): heavy[-1][name] for name in ("val/accuracy", "val/unparsed")}
    adapter = load_file(last.folder / "adapter/adapter_model.safetensors")
    numbers["adapter_change"] = max(float(tensor.abs().max()) for name, tensor in adapter.items() if "lora_B" in name)
    return numbers | {"unsharded": 0}  # or the trainer had stopped
