"""A training from its newest checkpoint to its last step: steps, heavy logs, checkpoints, W&B."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.data.tokens import Tokens
from recipes.common.distributed.ranks import Ranks
from recipes.common.stage.command import Interrupted, Progress, StageError
from recipes.common.verl import checkpoints
from recipes.common.verl.checkpoints import Checkpoint
from recipes.common.verl.stage import run_name
from recipes.honest_persona import checkpoints as saving
from recipes.honest_persona import state
from recipes.honest_persona.adapter import build, lora_config
from recipes.honest_persona.base import base_of
from recipes.honest_persona.dataset import Row
from recipes.honest_persona.form import Form
from recipes.honest_persona.generate import Listener
from recipes.honest_persona.schedule import heavy_steps
from recipes.honest_persona.scoring import flat, scores
from recipes.honest_persona.settings import Settings
from recipes.honest_persona.tokenize import Coder
from recipes.honest_persona.trainer import Length, Trainer

MODE = "lora"


@dataclass(frozen=True)
class Folders:
    """What a stage is given."""

    model: Path
    data: Path
    work: Path
    out: Path


class Loop:
    """What happens between two checkpoints."""

    def __init__(
        self,
        settings: Settings,
        form: Form,
        folders: Folders,
        ranks: Ranks,
        length: Length,
        resume: Checkpoint | None,
    ):
        self.settings, self.form, self.folders, self.ranks = settings, form, folders, ranks
        self.length, self.last = length, resume
        self.config = lora_config(settings.lora_r, settings.lora_alpha, settings.lora_dropout)
        model = build(folders.model, self.config, settings.seed, ranks)
        self.trainer = Trainer(model, settings, ranks, form.lora_mask)
        if resume:
            state.load(model, self.trainer.optimizer, resume.folder, resume.step)
        self.progress = Progress(folders.work)

    def run(self, rows: dict[str, list[Row]], stop: Callable[[], bool]) -> None:
        """The last step is done and saved; or Interrupted, after a checkpoint of what is done."""
        done, length, settings = self.last.step if self.last else 0, self.length, self.settings
        heavy = heavy_steps(settings.first_heavy_log_step, settings.heavy_log_increment_percent, length.steps)
        log = _wandb(settings, self.folders.work) if self.ranks.main else None
        try:
            for step in range(done + 1, length.steps + 1):
                self._stop_if_asked(stop, step - 1)
                metrics = self.trainer.step(step, length, rows["train"])
                if step in heavy and rows["val"]:
                    metrics |= self._heard(rows["val"])
                self._report(step, metrics, log)
                if step == length.steps or step in length.epoch_ends or step % (settings.save_every or step + 1) == 0:
                    self._save(step)
        finally:
            if log:
                log.finish()

    def _heard(self, rows: list[Row]) -> dict[str, float]:
        coder = Coder(Tokens(self.folders.model).tokenizer, self.form)
        listener = Listener(coder, self.settings.max_new_tokens, self.settings.validation_batch_size)
        heard = self.trainer.listen(rows, listener)
        if self.ranks.main:
            answer, text = heard[0]
            print(f"heard, where {answer.expected} is right: {text!r}", flush=True)
        return flat(scores(answer for answer, _ in heard), "val/")

    def _report(self, step: int, metrics: dict[str, float], log: Any) -> None:
        for name in ("loss", "grad_norm"):
            if not math.isfinite(metrics[name]):
                raise StageError(f"`{name}` is {metrics[name]} in step {step}", "lower `lr`, and start anew")
        if not self.ranks.main:
            return
        # Before the checkpoint: a kill in between has the step done and reported again, never left out.
        self.progress.step(step, self.length.steps, metrics)
        if log:
            log.log(metrics, step=step)
        shown = {"loss": "loss", "grad_norm": "norm", "lr": "lr", "val/accuracy": "accuracy"}
        words = "  ".join(f"{word} {metrics[name]:.4g}" for name, word in shown.items() if name in metrics)
        print(f"step {step}/{self.length.steps}  {words}", flush=True)

    def _save(self, step: int) -> None:
        """The checkpoint after `step` is complete on disk, and older ones have made room."""
        args = {"base": base_of(self.folders.model), "settings": dataclasses.asdict(self.settings), "step": step}
        folder = checkpoints.folder_of(self.folders.work, step)
        epoch = self.length.epoch_ends.get(step)
        parts = saving.Parts(self.trainer.model, self.trainer.optimizer, self.config, self.form, args)
        saving.save(parts, folder, self.last.folder if self.last else None, epoch, self.ranks)
        if self.ranks.main:
            checkpoints.complete(folder, MODE, step, self.ranks.world, None)
            self.progress.checkpoint(folder.name, step)
        self.ranks.wait()
        self.last = checkpoints.read(folder)
        if self.ranks.main:
            checkpoints.prune(self.folders.work, self.settings.keep_last)

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
