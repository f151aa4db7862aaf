"""What a step reports, from what verl returns."""

from statistics import fmean
from typing import Any

from transfer_queue import KVBatchMeta

SHOWN = {
    "critic/d_loss": "d_loss",
    "critic/d_acc": "d_acc",
    "actor/loss": "actor_loss",
    "actor/kl": "kl",
    "response_length": "length",
    "val/rouge_l": "rouge_l",
    "seconds": "seconds",
}
"""The console's columns."""


def reply_metrics(batch: KVBatchMeta, limit: int) -> dict[str, float]:
    """Tokens of the sampled replies, and the share that was cut at `limit`."""
    lengths = [tag["response_len"] for tag in batch.tags if not tag.get("is_padding", False)]
    return {
        "response_length": fmean(lengths),
        "response_length/max": max(lengths),
        "response_length/cut": fmean(length >= limit for length in lengths),
    }


def critic_metrics(found: dict[str, Any]) -> dict[str, float]:
    """The discriminator's, from loss.py and verl's optimizer step."""
    names = ("d_loss", "d_acc", "student_value", "teacher_value", "grad_norm", "lr")
    return {f"critic/{name}": found[name] for name in names}


def actor_metrics(found: dict[str, Any]) -> dict[str, float]:
    """The actor's, under verl's names that start with `actor/`."""
    names = {
        "actor/loss": "actor/loss",
        "actor/grad_norm": "actor/grad_norm",
        "actor/lr": "actor/lr",
        "actor/kl_loss": "actor/kl",
        "actor/pg_clipfrac": "actor/clipped",
    }
    return {shown: found[name] for name, shown in names.items() if name in found}
