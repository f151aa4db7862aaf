"""The state of a run and its stages, from the plan and the events. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from launcher.runfolder.plan import Plan

ENDS = {"stage.finished": "done", "stage.failed": "failed", "stage.interrupted": "interrupted"}
"""The event that ends an attempt -> the state of its stage."""
USUAL, FIRST = 300.0, 1200.0
"""Seconds without a step that are normal: between two steps; and before the second step, while a model loads."""


class Checkpoint(NamedTuple):
    """A complete checkpoint; `time` is when it was completed."""

    name: str
    step: int
    time: float


@dataclass(frozen=True)
class StageStatus:
    """One stage. Its state is `waiting`, `running`, `done`, `failed` or `interrupted`; times are in seconds since the
    epoch."""

    name: str
    state: str = "waiting"
    attempt: int = 0
    step: int = 0
    steps: int | None = None
    started: float | None = None
    ended: float | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    """Every checkpoint that was ever complete, oldest first; trainers delete old ones."""
    stored: Checkpoint | None = None
    """The last one that a bucket has too."""
    moved: float | None = None
    """When this attempt last showed progress: its start, a step, a checkpoint."""
    marks: tuple[tuple[float, int], ...] = ()
    """(time, step) of this attempt's first and last progress."""
    history: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Step -> its metrics; for a step that was done twice, those of the second time."""
    warnings: tuple[str, ...] = ()

    @property
    def safe_step(self) -> int | None:
        """The step of the last complete checkpoint."""
        return self.checkpoints[-1].step if self.checkpoints else None

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics of the last step."""
        return self.history.get(self.step, {})

    @property
    def pace(self) -> float | None:
        """Seconds per step in this attempt; None before the second step."""
        if len(self.marks) < 2 or self.marks[-1][1] <= self.marks[0][1]:
            return None
        (first, low), (last, high) = self.marks[0], self.marks[-1]
        return (last - first) / (high - low)

    def seconds(self, now: float) -> float | None:
        """How long the last attempt has taken, or took."""
        return None if self.started is None else (self.ended or now) - self.started

    def remaining(self, now: float) -> float | None:
        """Seconds until the last step at this attempt's pace; None before the second step."""
        if self.state != "running" or not self.steps or self.pace is None:
            return None
        last, high = self.marks[-1]
        return max(0.0, (self.steps - high) * self.pace - (now - last))

    def quiet(self, now: float) -> float | None:
        """Seconds without progress, if that is longer than usual; None otherwise, and for a stage without steps."""
        if self.state != "running" or not self.steps or self.moved is None:
            return None
        usual = FIRST if self.pace is None else max(USUAL, 5 * self.pace)
        return now - self.moved if now - self.moved > usual else None


def stage_after(stage: StageStatus, event: Mapping[str, Any]) -> StageStatus:
    """The stage after `event`, which is about it."""
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
        checkpoints = [checkpoint for checkpoint in stage.checkpoints if checkpoint.step == event.get("step")]
        return replace(stage, stored=checkpoints[-1] if checkpoints else stage.stored)
    if kind == "stage.warning":
        return replace(stage, warnings=(*stage.warnings, event["warning"]))
    if kind == "stage.skipped":
        return replace(stage, state="done", step=stage.steps or stage.step)
    return replace(stage, state=ENDS[kind], ended=time) if kind in ENDS else stage


@dataclass(frozen=True)
class RunStatus:
    """The whole run. Its state is `planned`, `running`, `finished`, `failed` or `interrupted`; `lost` if its process
    has ended and reported nothing."""

    run: str
    state: str
    stages: tuple[StageStatus, ...]
    code: int | None = None
    error: str | None = None
    hint: str | None = None
    reason: str | None = None
    """Why it was interrupted: `asked`, `budget`, `stalled`."""
    warnings: tuple[str, ...] = ()
    """Warnings about the whole run since its last complete upload."""
    gpus: Mapping[str, Any] | None = None
    """The driver's last answer: `name` and `total` MiB of one GPU; `used` MiB and `busy` % of each."""

    @property
    def full_hint(self) -> str:
        """The hint. If it only names a log, it names `launcher doctor` first."""
        hint = self.hint or ""
        return f"`launcher doctor {self.run}` names the cause; or {hint}" if hint.startswith("read ") else hint

    @property
    def current(self) -> StageStatus | None:
        return next((stage for stage in self.stages if stage.state != "done"), None)


def status(plan: Plan, events: Iterable[Mapping[str, Any]], running: bool) -> RunStatus:
    """`events` are in their order. `running`: whether the node program runs, as the backend says."""
    stages = {stage.name: StageStatus(stage.name, steps=stage.steps) for stage in plan.stages}
    state = "planned"
    end: Mapping[str, Any] = {}
    warnings: list[str] = []
    gpus: Mapping[str, Any] | None = None
    histories: dict[str, dict[int, Mapping[str, float]]] = {name: {} for name in stages}
    for event in events:
        kind, name = event.get("event"), event.get("stage")
        if name in stages:
            stages[name] = stage_after(stages[name], event)
            _remember(histories[name], event)
        if kind == "run.started":
            state, end, gpus = "running", {}, None
            stages = {name: replace(stage, state="waiting") for name, stage in stages.items()}
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
            name: replace(stage, state="interrupted") if stage.state == "running" else stage
            for name, stage in stages.items()
        }
    elif running and state != "finished":
        state, end = "running", {}
    facts = {name: end.get(name) for name in ("code", "error", "hint", "reason")}
    known = tuple(replace(stage, history=histories[name]) for name, stage in stages.items())
    return RunStatus(plan.run, state, known, **facts, warnings=tuple(warnings), gpus=gpus)


def _remember(history: dict[int, Mapping[str, float]], event: Mapping[str, Any]) -> None:
    if event.get("event") == "stage.started" and event.get("attempt") == 1:
        history.clear()
    elif event.get("event") == "stage.progress":
        history[event.get("step") or 0] = event.get("metrics") or {}
