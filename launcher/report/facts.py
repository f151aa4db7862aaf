"""All that a run folder and the ledger say of a run, read once; and when each attempt at a stage began and ended."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from launcher.clouds.ledger import Entry, Ledger
from launcher.diagnosis.diagnose import Diagnosis
from launcher.runfolder.command_history import Command, commands
from launcher.runfolder.done import read_done
from launcher.runfolder.events import Tail
from launcher.runfolder.files import read_json, sha256
from launcher.runfolder.manifest import read
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus

LARGEST = 2 << 20
"""Bytes of an evaluation that is shown."""
ENDS = {"stage.finished": "done", "stage.failed": "failed", "stage.interrupted": "interrupted"}


@dataclass(frozen=True)
class Attempt:
    """`ended` is None while it runs; `lost` says that it ended without a word. `first` is its first step."""

    stage: str
    number: int
    started: float
    ended: float | None = None
    state: str = "running"
    first: int | None = None


@dataclass(frozen=True)
class Facts:
    """What a report is made of. `history`: stage -> step -> metrics; `done`: stage -> its proof; `evaluations`: file
    below the run folder -> its value."""

    plan: Plan
    status: RunStatus
    written: float
    plan_sha256: str = ""
    attempts: tuple[Attempt, ...] = ()
    history: Mapping[str, Mapping[int, Mapping[str, Any]]] = field(default_factory=dict)
    gpus: tuple[Mapping[str, Any], ...] = ()
    done: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    evaluations: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] | None = None
    machines: tuple[Entry, ...] = ()
    commands: tuple[Command, ...] = ()
    diagnosis: Diagnosis | None = None

    @property
    def began(self) -> float | None:
        return min((attempt.started for attempt in self.attempts), default=None)

    @property
    def ended(self) -> float | None:
        """None while it runs."""
        ends = [attempt.ended for attempt in self.attempts]
        return None if None in ends else max((end for end in ends if end is not None), default=None)

    @property
    def cost(self) -> float | None:
        """Dollars, as far as prices are known; None where nothing was rented."""
        costs = [cost for machine in self.machines if (cost := machine.cost(self.written)) is not None]
        return sum(costs) if costs else None


def facts(
    plan: Plan, folder: RunFolder, status: RunStatus, book: Ledger, now: float, diagnosis: Diagnosis | None = None
) -> Facts:
    """As they are now."""
    events = Tail(folder.events).new()
    done = {stage.name: read_done(folder.stage(stage.name).done) for stage in plan.stages}
    return Facts(
        plan=plan,
        status=status,
        written=now,
        plan_sha256=sha256(folder.plan) if folder.plan.exists() else "",
        attempts=tuple(attempts(events, status.state == "running")),
        history={stage.name: _history(folder.stage(stage.name).progress, stage.history) for stage in status.stages},
        gpus=tuple(event for event in events if event.get("event") == "run.gpus" and event.get("used")),
        done={name: record for name, record in done.items() if record},
        evaluations=dict(_evaluations(plan, folder)),
        manifest=read(folder.manifest),
        machines=tuple(
            machine for machine in book.entries() if (machine.run, machine.folder) == (plan.run, str(folder.path))
        ),
        commands=tuple(commands(folder)),
        diagnosis=diagnosis,
    )


def _history(path: Path, reported: Mapping[int, Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Every step that the stage reported, where its own file is here: events tell of one step a second at most."""
    history = dict(reported)
    for line in Tail(path).new() if reported else []:
        if isinstance(line.get("step"), int) and isinstance(line.get("metrics"), dict):
            history[line["step"]] = line["metrics"]
    return dict(sorted(history.items()))


def _evaluations(plan: Plan, folder: RunFolder) -> Iterator[tuple[str, Any]]:
    """What the stages found out about models."""
    folders = [folder.stage(stage.name).out for stage in plan.stages]
    for folder_ in [*folders, folder.export]:
        for path in sorted(folder_.glob("*evaluation*.json")):
            if path.stat().st_size <= LARGEST and (value := read_json(path)):
                yield path.relative_to(folder.path).as_posix(), value


def attempts(events: Iterable[Mapping[str, Any]], running: bool) -> list[Attempt]:
    """All of them in the order in which they began. One that was cut off ends with the last event about it."""
    attempts_: list[Attempt] = []
    running_: dict[str, int] = {}
    last: dict[str, float] = {}
    for event in events:
        kind, name, time = event.get("event"), event.get("stage"), float(event.get("time") or 0)
        if kind == "run.started":
            _cut(attempts_, running_, last)
        if not isinstance(name, str):
            continue
        last[name] = time
        if kind == "stage.started":
            _cut(attempts_, {name: running_.pop(name)} if name in running_ else {}, last)
            running_[name] = len(attempts_)
            attempts_.append(Attempt(name, int(event.get("attempt") or 0), time))
        elif kind in ENDS and name in running_:
            at = running_.pop(name)
            attempts_[at] = replace(attempts_[at], ended=time, state=ENDS[kind])
        elif kind == "stage.progress" and name in running_ and attempts_[running_[name]].first is None:
            attempts_[running_[name]] = replace(attempts_[running_[name]], first=event.get("step"))
    if not running:
        _cut(attempts_, running_, last)
    return attempts_


def _cut(attempts_: list[Attempt], running_: dict[str, int], last: Mapping[str, float]) -> None:
    """What is open ended without a word."""
    for name, at in running_.items():
        attempts_[at] = replace(attempts_[at], ended=last.get(name, attempts_[at].started), state="lost")
    running_.clear()
