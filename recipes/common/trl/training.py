"""The arguments that TRL's trainers share, and one training from wherever its last checkpoint is to its end."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.stage.command import Interrupted, StopSignal
from recipes.common.trl import checkpoints
from recipes.common.trl.callback import Watch
from recipes.common.trl.hyperparameters import Hyper, Schedule

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""Where LoRA goes."""


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training."""

    history: list[dict[str, float]]
    """What was logged, step by step."""
    steps: int
    warmup: int
    parameters: int
    """How many were trained."""
    seconds: float
    """Of a step, on average over those of this process."""


def arguments(hyper: Hyper, schedule: Schedule, work: Path) -> dict[str, Any]:
    """The arguments of TrainingArguments and its subclasses."""
    return {
        "output_dir": str(work),
        "use_cpu": hyper.device == "cpu",
        "bf16": hyper.dtype == "bfloat16",
        "fp16": hyper.dtype == "float16",
        "num_train_epochs": hyper.epochs,
        "per_device_train_batch_size": hyper.batch,
        "per_device_eval_batch_size": hyper.batch,
        "gradient_accumulation_steps": hyper.accumulate,
        "learning_rate": hyper.lr,
        "lr_scheduler_type": "cosine",
        "warmup_steps": schedule.warmup,
        "max_grad_norm": hyper.grad_clip,
        "optim": hyper.optimizer,
        "gradient_checkpointing": hyper.recompute,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "max_length": hyper.max_length,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": schedule.save_every,
        # the one being written has no marker yet: what came before it stays until it has
        "save_total_limit": hyper.keep_last + 1,
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": hyper.device == "cuda",
        "seed": hyper.seed,
    }


def lora(hyper: Hyper) -> Any:
    """peft's configuration of the adapter."""
    from peft import LoraConfig

    return LoraConfig(
        r=hyper.lora_rank,
        lora_alpha=hyper.lora_alpha,
        lora_dropout=hyper.lora_dropout,
        target_modules=PROJECTIONS,
        bias="none",
        task_type="CAUSAL_LM",
    )


def train(trainer: Any, work: Path, stop: StopSignal) -> TrainingResult:
    """The trainer is trained to its last step. Raises Interrupted after SIGTERM and a checkpoint. Started again with
    the same `work`, it goes on from the newest complete checkpoint there."""
    import torch

    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            # TRL makes them bfloat16 over 4 bits, which a T4 does not have, and whose gradients cannot be unscaled.
            parameter.data = parameter.data.to(torch.float32)
    watch = Watch(work, stop)
    trainer.add_callback(watch)
    if trainer.is_world_process_zero():
        checkpoints.remove_incomplete(work)
    if trainer.args.world_size > 1:
        torch.distributed.barrier()
    resume = checkpoints.newest(work)
    if resume:
        print(f"going on from {resume.name}", flush=True)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if watch.stopped:
        raise Interrupted(f"checkpoint-{trainer.state.global_step} is complete")
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    count = sum(parameter.numel() for parameter in trainer.model.parameters() if parameter.requires_grad)
    seconds = (time.monotonic() - watch.began) / max(1, trainer.state.global_step - watch.first)
    return TrainingResult(history, trainer.state.max_steps, int(trainer.args.warmup_steps), count, seconds)
