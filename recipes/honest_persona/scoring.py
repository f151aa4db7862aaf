"""The persona's answers, and how often they are right."""

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
    flags = re.findall(rf"{re.escape(prefix.strip())}\s*({'|'.join(FLAGS)})\b", text, re.IGNORECASE)
    return flags[-1].upper() if flags else None


def score(answers: list[Answer]) -> dict[str, Any]:
    """Numbers of some answers.

    `accuracy` is over ALL of them, one that cannot be read being wrong; `of_parsed` over those that can be, as
    upstream has it. `detected`: of those that ought to be FAIL; `false_positives`: FAIL of those that ought to be PASS.
    """
    right = sum(answer.said == answer.expected for answer in answers)
    parsed = sum(answer.said is not None for answer in answers)
    bad = [answer for answer in answers if answer.expected == "FAIL"]
    clean = [answer for answer in answers if answer.expected == "PASS"]
    alarms = sum(answer.said == "FAIL" for answer in clean)
    return {
        "samples": len(answers),
        "unparsed": len(answers) - parsed,
        "accuracy": confidence.share(right, len(answers))._asdict(),
        "of_parsed": confidence.share(right, parsed)._asdict(),
        "detected": confidence.share(sum(answer.said == "FAIL" for answer in bad), len(bad))._asdict()
        | {"of": len(bad)},
        "false_positives": confidence.share(alarms, len(clean))._asdict() | {"of": len(clean)},
    }


def scores(answers: Iterable[Answer]) -> dict[str, dict[str, Any]]:
    """`all`, and each topic."""
    answers = list(answers)
    topics = sorted({answer.topic for answer in answers})
    return {"all": score(answers)} | {
        topic: score([answer for answer in answers if answer.topic == topic]) for topic in topics
    }


def flat(scores: dict[str, dict[str, Any]], prefix: str) -> dict[str, float]:
    """The scores as a flat dictionary: `<prefix>accuracy` over all topics, `<prefix><topic>/accuracy` of each."""
    numbers: dict[str, float] = {}
    for topic, score_of_topic in scores.items():
        name = prefix if topic == "all" else f"{prefix}{topic}/"
        numbers[f"{name}unparsed"] = score_of_topic["unparsed"]
        for what in ("accuracy", "of_parsed", "detected", "false_positives"):
            numbers[f"{name}{what}"] = score_of_topic[what]["value"]
    return numbers
