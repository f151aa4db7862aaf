"""What a round of tournaments comes to: comparisons, preferences, tokens, dollars, hours. Pure arithmetic."""

import math
from dataclasses import dataclass

from recipes.profile_dpo import bracket


@dataclass(frozen=True)
class Round:
    """What is wanted, and in which way."""

    preferences: int
    """Wanted."""
    candidates: int
    """Profiles in a tournament."""
    orders: int = 1
    """In which each comparison is asked."""

    @property
    def tournaments(self) -> int:
        """As many as give so many preferences; exact where `candidates` is a power of two, else on average."""
        return math.ceil(self.preferences / bracket.expected(self.candidates))

    @property
    def comparisons(self) -> int:
        return self.tournaments * (self.candidates - 1)

    @property
    def calls(self) -> int:
        """Questions to the judge."""
        return self.comparisons * self.orders

    def batched(self, rounds: int) -> float:
        """The share of all questions that the first rounds have."""
        return sum(bracket.matches(self.candidates)[:rounds]) / (self.candidates - 1)


@dataclass(frozen=True)
class Tokens:
    """Of one question and its answer."""

    asked: float
    answered: float


@dataclass(frozen=True)
class Price:
    """In dollars for a million tokens."""

    asked: float
    answered: float


def dollars(plan: Round, tokens: Tokens, price: Price, batched: int = 0) -> float:
    """What the judge's answers cost when the first rounds are sent as batches, at half the price."""
    whole = plan.calls * (tokens.asked * price.asked + tokens.answered * price.answered) / 1e6
    return whole * (1 - plan.batched(batched) / 2)


def hours(count: float, seconds: float) -> float:
    """Of so many things that take so long each."""
    return count * seconds / 3600


def steps(rows: int, batch: int, accumulate: int, epochs: float) -> int:
    """Of a training on so many preferences."""
    return math.ceil(math.ceil(rows / (batch * accumulate)) * epochs)
