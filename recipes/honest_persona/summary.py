"""A finished training in numbers."""

from pathlib import Path
from statistics import fmean
from typing import Any

from safetensors.torch import load_file

from recipes.common.verl.checkpoints import Checkpoint
from recipes.common.verl.stage import read_history
from recipes.honest_persona.trainer import Length

PART = 5
"""A run's start and end are each a fifth of its steps."""


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
    heard = [metrics for metrics in history if "val/accuracy" in metrics]
    if heard:
        numbers |= {name.replace("/", "_"): heard[-1][name] for name in ("val/accuracy", "val/unparsed")}
    adapter = load_file(last.folder / "adapter/adapter_model.safetensors")
    numbers["adapter_change"] = max(float(one.abs().max()) for name, one in adapter.items() if "lora_B" in name)
    return numbers | {"unsharded": 0}  # or the trainer had stopped
