"""From answers of a judge to the result of a match, and to the bias of the judge. Pure."""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from recipes.profile_dpo.bracket import Result


class Shown(NamedTuple):
    """Two candidates of a unit in the order in which a judge sees them."""

    unit: str
    first: int
    second: int

    @property
    def key(self) -> str:
        return f"{self.unit}/{self.first}>{self.second}"


@dataclass
class Bias:
    """How a judge behaved: counts."""

    answers: int = 0
    first: int = 0
    """Answers that preferred what was shown first."""
    both: int = 0
    """Matches that were answered in both orders."""
    against: int = 0
    """Of these, with another profile preferred in each order."""
    unanswered: int = 0
    """Questions without an answer."""
    coins: int = 0
    """Matches that a coin decided."""

    def numbers(self) -> dict[str, float]:
        """What metrics.json says."""
        return {
            **vars(self),
            "first_share": round(self.first / self.answers, 4) if self.answers else 0.0,
            "disagreement": round(self.against / self.both, 4) if self.both else 0.0,
        }


def choice(text: str) -> int | None:
    """1 or 2 of the JSON object in a judge's answer; None where it is anything else."""
    answer = _object(text)
    preferred = answer.get("preferred_profile") if answer else None
    if isinstance(preferred, str) and preferred.strip() in ("1", "2"):
        preferred = int(preferred)
    return preferred if type(preferred) is int and preferred in (1, 2) else None


def orders(unit: str, first: int, second: int, count: int, seed: int) -> list[Shown]:
    """The questions of a match: both orders, or for `count` 1 the one that a coin says."""
    both = [Shown(unit, first, second), Shown(unit, second, first)]
    return both if count == 2 else [random.Random(f"{seed}:order:{unit}:{first}:{second}").choice(both)]


def result(asked: Iterable[Shown], answers: Mapping[str, int | None], seed: int, bias: Bias) -> Result:
    """Who won the match; a coin says it where the answers do not. Counted in `bias`."""
    shown = list(asked)
    votes = []
    for order in shown:
        answer = answers[order.key]
        if answer is None:
            bias.unanswered += 1
            continue
        bias.answers += 1
        bias.first += answer == 1
        votes.append(order.first if answer == 1 else order.second)
    bias.both += len(votes) == 2
    bias.against += len(set(votes)) == 2
    unit, first, second = shown[0]
    decided = len(set(votes)) == 1
    players = sorted((first, second))
    winner = votes[0] if decided else random.Random(f"{seed}:coin:{unit}:{players}").choice(players)
    bias.coins += not decided
    return Result(winner, second if winner == first else first, decided)


def _object(text: str) -> dict[str, Any] | None:
    """The first JSON object in the text."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            value, _ = decoder.raw_decode(text, start)
        except ValueError:
            start = text.find("{", start + 1)
            continue
        return value if isinstance(value, dict) else None
    return None
