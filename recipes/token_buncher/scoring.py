"""Whether an answer is right. None: it could not be read, which is counted apart."""

import re
from decimal import Decimal

BOXED = re.compile(r"\\boxed\{\s*(?:\\text\{)?\(?([A-D])\)?\}?\s*\}")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def right_letter(answer: str, truth: str) -> bool | None:
    """By the last letter in a box; None when no box holds A, B, C or D."""
    found = BOXED.findall(answer)
    return found[-1] == truth if found else None


def right_number(answer: str, truth: str) -> bool | None:
    """By the last number; None when there is none."""
    found = NUMBER.findall(answer)
    return Decimal(found[-1].replace(",", "")) == Decimal(truth) if found else None
