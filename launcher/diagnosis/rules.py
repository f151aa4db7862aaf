"""The rules of `rules.yaml`, checked."""

import re
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from launcher.config.yaml import Strict, read

Where = Literal["stage", "node", "launch", "slurm", "events", "ledger"]


class Knob(Strict):
    """A setting, and which way to turn it: multiplied, lowered, or set."""

    setting: str
    times: float | None = None
    minus: float | None = None
    to: bool | None = None
    least: float | None = None
    most: float | None = None
    keeps: str | None = None
    """A setting that grows by as much."""

    def turned(self, value: object) -> object | None:
        """The setting's next value; None when it cannot be turned any further, or is nothing to turn."""
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
    """A cause, how logs speak of it, and what helps."""

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
        for one in seen:
            re.compile(one)
        return seen

    def first(self, text: str) -> re.Match[str] | None:
        """Where the text first speaks of it."""
        found = [match for one in self.seen if (match := re.search(one, text, re.M))]
        return min(found, key=lambda match: match.start(), default=None)


class Rules(Strict):
    rules: tuple[Rule, ...]


def rules() -> tuple[Rule, ...]:
    """All of them, causes before what they cause."""
    return read(Path(__file__).with_name("rules.yaml"), Rules).rules
