"""Plan + events -> where a run stands. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from launcher.node.records import Plan


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
    safe_step: int | None = None
    """The last step that a complete checkpoint holds."""
    marks: tuple[tuple[float, int], ...] = ()
    """(time, step) of this attempt's first and last progress."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def seconds(self, now: float) -> float | None:
        """How long the last attempt has taken, or took."""
        return None if self.started is None else (self.ended or now) - self.started

    def remaining(self, now: float) -> float | None:
        """Seconds until the last step at this attempt's pace; None before two steps were seen."""
        if self.state != "running" or not self.steps or len(self.marks) < 2:
            return None
        (first, low), (last, high) = self.marks[0], self.marks[-1]
        if high <= low:
            return None
        pace = (last - first) / (high - low)
        return max(0.0, (self.steps - high) * pace - (now - last))


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

    @property
    def current(self) -> StageStatus | None:
        return next((stage for stage in self.stages if stage.state != "done"), None)


def status(plan: Plan, events: Iterable[Mapping[str, Any]], running: bool) -> RunStatus:
    """`events` in their order; `running` is what the backend says of the node program."""
    stages = {stage.name: StageStatus(stage.name, steps=stage.steps) for stage in plan.stages}
    state = "planned"
    end: Mapping[str, Any] = {}
    warnings: list[str] = []
    for event in events:
        kind, name = event.get("event"), event.get("stage")
        if name in stages:
            stages[name] = _after(stages[name], event)
        if kind == "run.started":
            state, end = "running", {}
            stages = {name: replace(one, state="waiting") for name, one in stages.items()}
        elif kind == "run.warning":
            warnings.append(event["warning"])
        elif kind == "run.stored":
            warnings = []
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
    return RunStatus(plan.run, state, tuple(stages.values()), **said, warnings=tuple(warnings))


def _after(stage: StageStatus, event: Mapping[str, Any]) -> StageStatus:
    kind, time = event.get("event"), float(event.get("time") or 0)
    if kind == "stage.started":
        attempt = event.get("attempt", 0)
        before = StageStatus(stage.name, steps=stage.steps) if attempt == 1 else stage  # done again from the start
        return replace(before, state="running", attempt=attempt, started=time, ended=None, marks=())
    if kind == "stage.progress":
        step = event.get("step") or 0
        return replace(
            stage,
            step=step,
            steps=event.get("steps") or stage.steps,
            metrics=event.get("metrics") or {},
            marks=(*stage.marks[:1], (time, step)),
        )
    if kind == "stage.checkpoint":
        return replace(stage, safe_step=event.get("step"))
    if kind == "stage.warning":
        return replace(stage, warnings=(*stage.warnings, event["warning"]))
    if kind == "stage.skipped":
        return replace(stage, state="done", step=stage.steps or stage.step)
    ends = {"stage.finished": "done", "stage.failed": "failed", "stage.interrupted": "interrupted"}
    return replace(stage, state=ends[kind], ended=time) if kind in ends else stage
