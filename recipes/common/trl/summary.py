"""The numbers of a training by TRL that metrics.json holds: from its history, its evaluation and its adapter."""

from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from recipes.common.checkpoint.hf_tensors import open_stored
from recipes.common.trl.training import TrainingResult

PART = 5
"""The start and the end of a training are each a fifth of its steps."""
DPO_NAMES = ("loss", "rewards/accuracies", "rewards/margins", "rewards/chosen", "rewards/rejected")
"""What metrics.json repeats of DPO."""


def summary(trained: TrainingResult, evaluation: dict[str, float], names: tuple[str, ...]) -> dict[str, Any]:
    """Counts of steps; for each of `names` its mean over the first and the last fifth of the steps, and its value in
    the evaluation after the last step."""
    history = trained.history
    part = max(1, len(history) // PART)
    numbers: dict[str, Any] = {
        "steps": trained.steps,
        "steps_left": trained.steps - len(history),
        "steps_after_warmup": trained.steps - trained.warmup,
        "trained_parameters": trained.parameters,
    }
    for name in names:
        key, values = name.replace("/", "_"), [entry[name] for entry in history if name in entry]
        if values:
            numbers |= {f"{key}_first": fmean(values[:part]), f"{key}_last": fmean(values[-part:])}
        if f"eval_{name}" in evaluation:
            numbers[f"eval_{key}"] = evaluation[f"eval_{name}"]
    return numbers


def adapter_change(adapter: Path) -> float:
    """The largest |value| of LoRA's B, whose values are all 0 before the first step; or of the vectors of prompt
    tuning."""
    largest = 0.0
    for name, tensor in open_stored(adapter).items():
        if "lora_B" in name or "prompt" in name:
            values = torch.empty(tensor.numel)
            tensor.read(0, values)
            largest = max(largest, float(values.abs().max()))
    return largest
