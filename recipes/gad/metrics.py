"""What a step reports, from what verl returns."""

from typing import Any

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
