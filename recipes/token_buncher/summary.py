"""A finished training stage in numbers."""

from statistics import fmean
from typing import Any

from recipes.common.checkpoint.difference import largest_change
from recipes.common.verl.checkpoints import Checkpoint
from recipes.common.verl.stage import read_history
from recipes.token_buncher.settings import Settings
from recipes.token_buncher.verl_config import Inputs

TENSORS = 16
"""Tensors that are compared with the model's."""

CURVE = ("entropy", "reward", "spread", "kl", "noiser", "response_length", "actor/grad_norm")
"""What a curve shows of each step."""

PART = 5
"""A run's start and end are each a fifth of its steps."""


def summary(last: Checkpoint, settings: Settings, inputs: Inputs) -> dict[str, Any]:
    """What metrics.json holds; `_first` and `_last` are means over the first and the last fifth of the steps."""
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


def curve(last: Checkpoint, inputs: Inputs) -> dict[str, dict[str, float]]:
    """Step -> its numbers."""
    return {
        str(step): {name: metrics[name] for name in CURVE if name in metrics}
        for step, metrics in read_history(inputs.work, last.step).items()
    }
