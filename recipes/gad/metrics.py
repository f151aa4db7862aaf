"""What a step reports, made from verl's metrics; and ROUGE-L, which chooses the best checkpoint."""

import re
from typing import Any

from rapidfuzz.distance import LCSseq

TOKEN = re.compile(r"\w+|[^\w\s]")

COLUMNS = {
    "critic/d_loss": "d_loss",
    "critic/d_acc": "d_acc",
    "actor/loss": "actor_loss",
    "actor/kl": "kl",
    "response_length": "length",
    "val/rouge_l": "rouge_l",
    "seconds": "seconds",
}
"""The console's columns."""


def critic_metrics(metrics: dict[str, Any]) -> dict[str, float]:
    """The discriminator's metrics, from loss.py and verl's optimizer step."""
    names = ("d_loss", "d_acc", "student_value", "teacher_value", "grad_norm", "lr")
    return {f"critic/{name}": metrics[name] for name in names}


def rouge_l(text: str, teacher: str) -> float:
    """The F1 of the longest common subsequence of words (case ignored, each mark a word), from 0 to 1.

    A diagnostic, never the reward that is trained on. The paper's own numbers come from a judge model; a higher ROUGE-L
    does not mean a better student.
    """
    mine, theirs = TOKEN.findall(text.lower()), TOKEN.findall(teacher.lower())
    if not mine or not theirs:
        return 0.0
    return 2 * LCSseq.similarity(mine, theirs) / (len(mine) + len(theirs))
