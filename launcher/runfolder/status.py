"""Plan + events -> where a run and its stages stand. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from launcher.runfolder.plan import Plan

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


@dataclass(frozen=True)
class RunStatus:
    """The whole run: `planned`, `running`, `finished`, `failed`, `interrupted`; `lost` when its process is gone
    without a word."""

    run: str
    state: str
    stages: tuple[StageStatus, ...]
    code: int | None = None
    error: str | None = None
    hint: str | None = None
    reason: str | None = None
    """Why it was interrupted: `asked`, `budget`, `stalled`."""
    warnings: tuple[str, ...] = ()
    """About the whole run, since all of it was stored the last time."""
    gpus: Mapping[str, Any] | None = None
    """What the machine's driver said last: `name`, `total` MiB of one; a number for each of `used` MiB, `busy` %."""

    @property
    def helps(self) -> str:
        """The hint; where that is only what to read, who reads it."""
        hint = self.hint or ""
        return f"`launcher doctor {self.run}` names the cause; or {hint}" if hint.startswith("read ") else hint

    @property
    def current(self) -> StageStatus | None:
        return next((stage for stage in self.stages if stage.state != "done"), None)


def status(plan: Plan, events: Iterable[Mapping[str, Any]], running: bool) -> RunStatus:
    """`events` in their order; `running` is what the backend says of the node program."""
    stages = {stage.name: StageStatus(stage.name, steps=stage.steps) for stage in plan.stages}
    state = "planned"
    end: Mapping[str, Any] = {}
    warnings: list[str] = []
    gpus: Mapping[str, Any] | None = None
    histories: dict[str, dict[int, Mapping[str, float]]] = {name: {} for name in stages}
    for event in events:
        kind, name = event.get("event"), event.get("stage")
        if name in stages:
            stages[name] = after(stages[name], event)
            _remember(histories[name], event)
        if kind == "run.started":
            state, end, gpus = "running", {}, None
            stages = {name: replace(one, state="waiting") for name, one in stages.items()}
        elif kind == "run.warning":
            warnings.append(event["warning"])
        elif kind == "run.stored":
            warnings = []
        elif kind == "run.gpus":
            gpus = event
        elif kind == "run.finished":
            state = "finished"
        elif kind == "run.ended":
            state, end = ("interrupted" if event["code"] == 33 else "failed"), event
    if state == "running" and not running:
        state = "lost"
        stages = {
            name: replace(one, state="interrupted") if one.state == "running" else one for name, one in stages.items()
        }
    elif running and state != "finished":
        state, end = "running", {}
    said = {name: end.get(name) for name in ("code", "error", "hint", "reason")}
    known = tuple(replace(one, history=histories[name]) for name, one in stages.items())
    return RunStatus(plan.run, state, known, **said, warnings=tuple(warnings), gpus=gpus)


def _remember(history: dict[int, Mapping[str, float]], event: Mapping[str, Any]) -> None:
    if event.get("event") == "stage.started" and event.get("attempt") == 1:
        history.clear()
    elif event.get("event") == "stage.progress":
        history[event.get("step") or 0] = event.get("metrics") or {}
