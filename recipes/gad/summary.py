"""A finished training stage in numbers."""

from pathlib import Path
from statistics import fmean
from typing import Any

from recipes.common.checkpoint.difference import largest_change
from recipes.common.verl.checkpoints import Checkpoint
from recipes.common.verl.stage import read_history
from recipes.gad.settings import Settings
from recipes.gad.verl_config import Inputs

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


def summary(last: Checkpoint, settings: Settings, inputs: Inputs) -> dict[str, Any]:
    """What metrics.json holds. `*_change`: the largest |difference| to the weights the stage started from."""
    history = list(read_history(inputs.work, last.step).values())
    numbers: dict[str, Any] = {"mode": settings.mode, "step": last.step, "world_size": last.world_size}
    for name, metric in NAMES.items():
        values = [metrics[metric] for metrics in history if metric in metrics]
        if values:
            numbers[name] = values[-1] if name == "rouge_l" else fmean(values[-RECENT:])
    if history:
        numbers["seconds_per_step"] = fmean(metrics["seconds"] for metrics in history)
    for role in settings.roles:
        numbers[f"{role}_change"] = largest_change(_before(role, inputs), inputs.out / role, TENSORS)
    return numbers


def _before(role: str, inputs: Inputs) -> Path:
    return inputs.start / role if inputs.start else inputs.model
