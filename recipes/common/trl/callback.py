"""A trainer's steps as a stage reports them: progress, checkpoints, a request to stop. When several processes train
together, the first one reports, and all stop at the same step."""

import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from recipes.common.stage.command import Progress, StageError, StopSignal
from recipes.common.trl import checkpoints

UNREPORTED = ("epoch", "total_flos", "step")


class Watch(TrainerCallback):
    """Reports every logged step, completes and reports every checkpoint, and ends the training with a checkpoint after
    SIGTERM."""

    def __init__(self, work: Path, stop: StopSignal):
        self.work, self.stop, self.progress = work, stop, Progress(work)
        self.began, self.first = time.monotonic(), 0
        self.stopped = False

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.stop.listen()
        self.began, self.first = time.monotonic(), state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if any_stopped(self.stop(), args) and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = self.stopped = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        numbers = {name: value for name, value in (logs or {}).items() if name not in UNREPORTED}
        if "loss" not in numbers:
            return
        if numbers["loss"] != numbers["loss"]:
            hint = "lower `lr`; with float16, look for rows that are far longer than others"
            raise StageError(f"the loss of step {state.global_step} is not a number", hint)
        if not state.is_world_process_zero:
            return
        done = state.global_step - self.first
        each = (time.monotonic() - self.began) / max(1, done)
        numbers["eta_seconds"] = round(each * (state.max_steps - state.global_step), 1)
        self.progress.step(state.global_step, state.max_steps, numbers)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if args.world_size > 1:
            dist.barrier()  # each process has saved its part
        if not state.is_world_process_zero:
            return
        name = f"checkpoint-{state.global_step}"
        checkpoints.complete(self.work / name, state.global_step)
        self.progress.checkpoint(name, state.global_step)


def any_stopped(stop: bool, args: TrainingArguments) -> bool:
    """Whether one of the processes was asked to stop."""
    if args.world_size == 1:
        return stop
    count = torch.tensor(float(stop), device=args.device)
    dist.all_reduce(count)
    return bool(count)
