"""All facts about a run: what its run folder and the ledger say, read once; and two runs side by side."""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from launcher.clouds.ledger import Entry, Ledger
from launcher.diagnosis.diagnose import Diagnosis
from launcher.format import duration
from launcher.report.evaluations import value_text
from launcher.report.status_lines import main_metrics
from launcher.runfolder.command_history import commands
from launcher.runfolder.done import read_done
from launcher.runfolder.events import Tail
from launcher.runfolder.files import read_json, sha256
from launcher.runfolder.manifest import read
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan, settings_of
from launcher.runfolder.status import ENDS, RunStatus

LARGEST = 2 << 20
"""The most bytes of an evaluation that is shown."""
Row = tuple[str, str, str]
METRICS = 8
"""The most metrics of a stage in a comparison."""
HASH = 12


@dataclass(frozen=True)
class Attempt:
    """`ended` is None while it runs; the state `lost` means that it ended and reported nothing. `first` is its first
    step."""

    stage: str
    number: int
    started: float
    ended: float | None = None
    state: str = "running"
    first: int | None = None


@dataclass(frozen=True)
class Facts:
    """What a report is made from. `history`: stage -> step -> metrics; `done`: stage -> its done record; `evaluations`:
    file below the run folder -> its value."""

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
    commands: tuple[str, ...] = ()
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
        """Dollars, as far as prices are known; None without a rented machine."""
        costs = [cost for machine in self.machines if (cost := machine.cost(self.written)) is not None]
        return sum(costs) if costs else None


def facts(
    plan: Plan, folder: RunFolder, status: RunStatus, book: Ledger, now: float, diagnosis: Diagnosis | None = None
) -> Facts:
    """The facts at this moment."""
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
        machines=tuple(book.of_folder(plan.run, folder.path)),
        commands=tuple(map(shlex.join, commands(folder))),
        diagnosis=diagnosis,
    )


def _history(path: Path, reported: Mapping[int, Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Every step that the stage reported, if its own file is here; events have one step a second at most."""
    history = dict(reported)
    for line in Tail(path).new() if reported else []:
        if isinstance(line.get("step"), int) and isinstance(line.get("metrics"), dict):
            history[line["step"]] = line["metrics"]
    return dict(sorted(history.items()))


def _evaluations(plan: Plan, folder: RunFolder) -> Iterator[tuple[str, Any]]:
    """The evaluations that the stages wrote: file -> value."""
    folders = [folder.stage(stage.name).out for stage in plan.stages]
    for folder_ in [*folders, folder.export]:
        for path in sorted(folder_.glob("*evaluation*.json")):
            if path.stat().st_size <= LARGEST and (value := read_json(path)):
                yield path.relative_to(folder.path).as_posix(), value


def attempts(events: Iterable[Mapping[str, Any]], running: bool) -> list[Attempt]:
    """All attempts in the order in which they began. An attempt that was cut off ends with the last event about it."""
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
    """Ends the running attempts as lost."""
    for name, at in running_.items():
        attempts_[at] = replace(attempts_[at], ended=last.get(name, attempts_[at].started), state="lost")
    running_.clear()


def comparison(first: Facts, second: Facts) -> Iterator[tuple[str, list[Row]]]:
    """Title -> rows with a name and the values of both runs."""
    differs = _rows(origin(first.plan), origin(second.plan), only_different=True)
    yield "differences", differs or [("none", "", "")]
    trained = tuple(stage.name for plan in (first.plan, second.plan) for stage in plan.stages if stage.steps)
    numbers = _rows(final_metrics(first), final_metrics(second))
    numbers = [row for row in numbers if row[1] != row[2] or row[0].partition(" ")[0] in trained]
    if numbers:
        yield "metrics", numbers
    yield "time and cost", _rows(time_and_cost(first), time_and_cost(second))


def origin(plan: Plan) -> dict[str, str]:
    """Everything that determines a run's result, and where it ran: name -> value."""
    code = plan.code
    facts = {
        "recipe": plan.recipe,
        "cloud": plan.machine.cloud,
        "machine": f"{plan.machine.nodes} x {' or '.join(plan.machine.accelerators) or 'CPU'}",
        "code": (code.commit or "no commit")[:HASH] + (" + changes" if code.dirty else ""),
        "recipe code": code.tree[:HASH],
        "image": plan.image.name if plan.image else "none",
        "environment": (plan.environment or "none")[:HASH],
        "stages": " ".join(stage.name for stage in plan.stages),
    }
    facts |= {f"package {name}": version for name, version in plan.packages.items()}
    facts |= {f"source {name}": f"{source.ref} {source.commit[:HASH]}" for name, source in plan.sources.items()}
    facts |= {
        f"model {name}": f"{model.repo} {(model.commit or model.revision)[:HASH]}"
        for name, model in plan.models.items()
    }
    facts |= {f"data {name}": f"{data.sha256[:HASH]}, {data.rows:,} rows" for name, data in plan.inputs.items()}
    for stage in plan.stages:
        facts |= {f"{stage.name} {name}": json.dumps(value) for name, value in sorted(settings_of(stage).items())}
    return facts


def final_metrics(facts: Facts) -> dict[str, str]:
    """The metrics of each stage: those of its done record, else those of its last step."""
    rows: dict[str, str] = {}
    for stage in facts.plan.stages:
        steps = facts.history.get(stage.name) or {}
        last = steps[max(steps)] if steps else {}
        numbers = facts.done.get(stage.name, {}).get("metrics") or last
        rows |= {f"{stage.name} {name}": value_text(numbers[name]) for name in main_metrics(numbers)[:METRICS]}
    return rows


def time_and_cost(facts: Facts) -> dict[str, str]:
    """The time of all attempts, and the cost."""
    rows = {"state": facts.status.state}
    for stage in facts.status.stages:
        own = [attempt for attempt in facts.attempts if attempt.stage == stage.name]
        if own:
            tries = f", {len(own)} attempts" if len(own) > 1 else ""
            step = f", step {stage.step:,}" if stage.steps and stage.state != "done" else ""
            spent = sum((attempt.ended or facts.written) - attempt.started for attempt in own)
            rows[stage.name] = duration(spent) + tries + step
    if facts.began is not None:
        rows["whole run"] = duration((facts.ended or facts.written) - facts.began)
    rows["cost"] = f"${facts.cost:.2f}" if facts.cost is not None else "unknown" if facts.machines else "$0"
    return rows


def _rows(first: Mapping[str, str], second: Mapping[str, str], only_different: bool = False) -> list[Row]:
    """A row for each name, in the order of the first run; `-` for a run without a value."""
    names = dict.fromkeys([*first, *second])
    rows = [(name, first.get(name, "-"), second.get(name, "-")) for name in names]
    return [row for row in rows if not only_different or row[1] != row[2]]
