"""Where a stage stands, from the events about it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

USUAL, FIRST = 300.0, 1200.0
"""Seconds without a step that are no news: between two steps, and before an attempt's second, while a model loads."""


class Checkpoint(NamedTuple):
    """A complete one; `time` is when it became so."""

    name: str
    step: int
    time: float


@dataclass(frozen=True)
class StageStatus:
    """One stage: `waiting`, `running`, `done`, `failed` or `interrupted`; times in seconds since the epoch."""

    name: str
    state: str = "waiting"
    attempt: int = 0
    step: int = 0
    steps: int | None = None
    started: float | None = None
    ended: float | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    """Every one that was complete, oldest first; trainers remove old ones."""
    stored: Checkpoint | None = None
    """The last one that a bucket holds too."""
    moved: float | None = None
    """When this attempt last showed progress: its start, a step, a checkpoint."""
    marks: tuple[tuple[float, int], ...] = ()
    """(time, step) of this attempt's first and last progress."""
    history: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Step -> what was reported of it; of a step that was done twice, the second time's."""
    warnings: tuple[str, ...] = ()

    @property
    def safe_step(self) -> int | None:
        """The last step that a complete checkpoint holds."""
        return self.checkpoints[-1].step if self.checkpoints else None

    @property
    def metrics(self) -> Mapping[str, float]:
        """What was reported of the last step."""
        return self.history.get(self.step, {})

    @property
    def pace(self) -> float | None:
        """Seconds a step in this attempt; None before two steps were seen."""
        if len(self.marks) < 2 or self.marks[-1][1] <= self.marks[0][1]:
            return None
        (first, low), (last, high) = self.marks[0], self.marks[-1]
        return (last - first) / (high - low)

    def seconds(self, now: float) -> float | None:
        """How long the last attempt has taken, or took."""
        return None if self.started is None else (self.ended or now) - self.started

    def remaining(self, now: float) -> float | None:
        """Seconds until the last step at this attempt's pace; None before two steps were seen."""
        if self.state != "running" or not self.steps or self.pace is None:
            return None
        last, high = self.marks[-1]
        return max(0.0, (self.steps - high) * self.pace - (now - last))

    def quiet(self, now: float) -> float | None:
        """Seconds without progress, once that is longer than usual; None while all is well, and of a stage that counts
        no steps."""
        if self.state != "running" or not self.steps or self.moved is None:
            return None
        usual = FIRST if self.pace is None else max(USUAL, 5 * self.pace)
        return now - self.moved if now - self.moved > usual else None


def after(stage: StageStatus, event: Mapping[str, Any]) -> StageStatus:
    """The stage as it stands once `event`, which is about it, has happened."""
    kind, time = event.get("event"), float(event.get("time") or 0)
    if kind == "stage.started":
        attempt = event.get("attempt", 0)
        before = StageStatus(stage.name, steps=stage.steps) if attempt == 1 else stage  # done again from the start
        return replace(before, state="running", attempt=attempt, started=time, ended=None, moved=time, marks=())
    if kind == "stage.progress":
        step = event.get("step") or 0
        return replace(
            stage,
            step=step,
            steps=event.get("steps") or stage.steps,
            moved=time,
            marks=(*stage.marks[:1], (time, step)),
        )
    if kind == "stage.checkpoint":
        made = Checkpoint(event.get("name") or "", event.get("step") or 0, time)
        return replace(stage, checkpoints=(*stage.checkpoints, made), moved=time)
    if kind == "stage.stored" and event.get("kind") == "checkpoint":
        found = [one for one in stage.checkpoints if one.step == event.get("step")]
        return replace(stage, stored=found[-1] if found else stage.stored)
    if kind == "stage.warning":
        return replace(stage, warnings=(*stage.warnings, event["warning"]))
    if kind == "stage.skipped":
        return replace(stage, state="done", step=stage.steps or stage.step)
    ends = {"stage.finished": "done", "stage.failed": "failed", "stage.interrupted": "interrupted"}
    return replace(stage, state=ends[kind], ended=time) if kind in ends else stage
