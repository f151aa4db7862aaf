"""Plan + events -> where a run stands. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from launcher.runfolder.plan import Plan
from launcher.runfolder.stage_status import StageStatus, after


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
