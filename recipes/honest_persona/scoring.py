"""What the persona said, and how often it was right."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from recipes.common.data import confidence
from recipes.honest_persona.form import FLAGS


class Answer(NamedTuple):
    """A held-out sample, and what the persona said about it."""

    topic: str
    expected: str
    said: str | None
    """None: no flag could be read."""


def flag_of(text: str, prefix: str) -> str | None:
    """The last flag after `prefix`, in any case; None when there is none."""
    found = re.findall(rf"{re.escape(prefix.strip())}\s*({'|'.join(FLAGS)})\b", text, re.IGNORECASE)
    return found[-1].upper() if found else None


def score(answers: list[Answer]) -> dict[str, Any]:
    """Numbers of some answers.

    `accuracy` is over ALL of them, one that cannot be read being wrong; `of_parsed` over those that can be, as
    upstream has it. `detected`: of those that ought to be FAIL; `false_positives`: FAIL of those that ought to be PASS.
    """
    right = sum(one.said == one.expected for one in answers)
    parsed = sum(one.said is not None for one in answers)
    bad = [one for one in answers if one.expected == "FAIL"]
    clean = [one for one in answers if one.expected == "PASS"]
    alarms = sum(one.said == "FAIL" for one in clean)
    return {
        "samples": len(answers),
        "unparsed": len(answers) - parsed,
        "accuracy": confidence.share(right, len(answers))._asdict(),
        "of_parsed": confidence.share(right, parsed)._asdict(),
        "detected": confidence.share(sum(one.said == "FAIL" for one in bad), len(bad))._asdict() | {"of": len(bad)},
        "false_positives": confidence.share(alarms, len(clean))._asdict() | {"of": len(clean)},
    }


def scores(answers: Iterable[Answer]) -> dict[str, dict[str, Any]]:
    """`all`, and each topic."""
    answers = list(answers)
    topics = sorted({one.topic for one in answers})
    return {"all": score(answers)} | {topic: score([one for one in answers if one.topic == topic]) for topic in topics}


def flat(found: dict[str, dict[str, Any]], prefix: str) -> dict[str, float]:
    """The scores as single numbers: `<prefix>accuracy` over all topics, `<prefix><topic>/accuracy` of each."""
    numbers: dict[str, float] = {}
    for topic, one in found.items():
        name = prefix if topic == "all" else f"{prefix}{topic}/"
        numbers[f"{name}unparsed"] = one["unparsed"]
        for what in ("accuracy", "of_parsed", "detected", "false_positives"):
            numbers[f"{name}{what}"] = one[what]["value"]
    return numbers
