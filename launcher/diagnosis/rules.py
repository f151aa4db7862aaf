"""The rules of `rules.yaml`."""

import re
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from launcher.config.yaml import Strict, read

Where = Literal["stage", "node", "launch", "slurm", "events", "ledger"]


class Knob(Strict):
    """A setting, and how to change it: multiply it, lower it, or set it."""

    setting: str
    times: float | None = None
    minus: float | None = None
    to: bool | None = None
    least: float | None = None
    most: float | None = None
    keeps: str | None = None
    """A setting that grows by the same factor."""

    def next_value(self, value: object) -> object | None:
        """The setting's next value; None if it is at its limit, or of another type."""
        if self.to is not None:
            return self.to if value != self.to and isinstance(value, bool) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        exact = value * self.times if self.times is not None else round(value - (self.minus or 0), 4)
        new: int | float = int(exact) if isinstance(value, int) else exact
        if (self.least is not None and new < self.least) or (self.most is not None and new > self.most):
            return None
        return new if new != value else None


class Rule(Strict):
    """A cause, the patterns that show it in a log, and what helps."""

    name: str
    cause: str
    seen: tuple[str, ...]
    help: str
    next: str
    where: tuple[Where, ...] = ("stage", "node")
    knobs: tuple[Knob, ...] = ()

    @field_validator("seen")
    @classmethod
    def _compiles(cls, seen: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in seen:
            re.compile(pattern)
        return seen

    def first(self, text: str) -> re.Match[str] | None:
        """The first match in the text."""
        matches = [match for pattern in self.seen if (match := re.search(pattern, text, re.M))]
        return min(matches, key=lambda match: match.start(), default=None)


class Rules(Strict):
    rules: tuple[Rule, ...]


def rules() -> tuple[Rule, ...]:
    """All rules, causes before their effects."""
    return read(Path(__file__).with_name("rules.yaml"), Rules).rules
