"""Why a run has to stop before it is done: somebody asked it to, its budget is spent, or it has stalled."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from launcher.runfolder.files import read_json
from launcher.runfolder.problem import INTERRUPTED, MISTAKE, Problem
from launcher.runfolder.validation import moment

ASKED, STALLED, BUDGET = "asked", "stalled", "budget"
AGAIN = "the same launch command continues the run from the last complete checkpoint"
MORE = "raise `--max-cost` or `--max-hours` and launch again: the run continues from the last complete checkpoint"


@dataclass(frozen=True)
class Limits:
    """The limits of this launch, as the laptop wrote them; None is no limit."""

    until: float | None = None
    """Seconds since the epoch."""
    reason: str = BUDGET
    """Which limit ends at `until`."""
    stall_seconds: float | None = None
    reserve_seconds: float = 0.0
    """How long before `until` a stage is asked to stop: time to write a checkpoint and to upload it."""


class Stop:
    """Whether the run has to stop, and why. The time that is left is computed once, so that a later change of the
    clock does no harm."""

    def __init__(self, limits: Limits, asked: Sequence[int]):
        """`asked` fills with the signals that ask for an end."""
        self.limits, self.asked = limits, asked
        self.moved = time.monotonic()
        self.end = math.inf if limits.until is None else time.monotonic() + limits.until - time.time()

    def note_progress(self) -> None:
        """Notes progress: the time after which a run counts as stalled begins again."""
        self.moved = time.monotonic()

    def reason(self) -> str | None:
        """Why the run has to stop now; None as long as it may continue."""
        now, stall = time.monotonic(), self.limits.stall_seconds
        if self.asked:
            return ASKED
        if now >= self.end - self.limits.reserve_seconds:
            return self.limits.reason
        return STALLED if stall is not None and now - self.moved > stall else None

    def seconds_left(self) -> float:
        """Seconds until the limit itself, the reserve included."""
        return self.end - time.monotonic()


def read_limits(path: Path) -> Limits:
    """The limits of this launch; no limits without a file. Raises Problem if the file is not one of ours."""
    if not path.exists():
        return Limits()
    value = read_json(path)
    known = {limit.name for limit in fields(Limits)}
    if not isinstance(value, dict) or value.pop("format", None) != 1 or set(value) - known or not _fit(value):
        raise Problem(f"`{path}` does not hold limits of format 1", "launch again: they are written again", MISTAKE)
    return Limits(**value)


def _fit(value: Mapping[str, object]) -> bool:
    """Whether each limit is a number, or None where None is allowed, and the reason a text."""
    until, stall = value.get("until"), value.get("stall_seconds")
    times = [value.get("reserve_seconds", 0.0), *(limit for limit in (until, stall) if limit is not None)]
    return isinstance(value.get("reason", BUDGET), str) and all(map(moment, times))


def problem_before(reason: str, what: str) -> Problem:
    """Why a run ends before it has begun `what`."""
    if reason == ASKED:
        return Problem("the run was asked to stop", "the same launch command continues the run", INTERRUPTED, reason)
    hint = MORE if reason == BUDGET else AGAIN
    return Problem(f"{_spent(reason)}: {what} was not begun", hint, INTERRUPTED, reason)


def problem_during(reason: str, stage: str, limits: Limits, log: Path) -> Problem:
    """Why a stage ends before it is done."""
    if reason == ASKED:
        return Problem(f"stage `{stage}` was interrupted", AGAIN, INTERRUPTED, reason)
    if reason == STALLED:
        error = f"stage `{stage}` has shown no progress for {limits.stall_seconds:g} s and was interrupted"
        return Problem(error, f"read {log}; {AGAIN}", INTERRUPTED, reason)
    hint = MORE if reason == BUDGET else AGAIN
    return Problem(f"{_spent(reason)}: stage `{stage}` was interrupted", hint, INTERRUPTED, reason)


def _spent(reason: str) -> str:
    return f"the {reason} of this launch is spent"
