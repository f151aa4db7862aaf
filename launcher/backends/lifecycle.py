"""A launch from its run folder on: prepare the folder, start or join the node program, and follow it to its end."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from launcher.backends.base import KILLED, Backend, End, Work
from launcher.errors import DONE, FAILED, INTERRUPTED, OURS, LaunchError
from launcher.interrupts import interruptible_after
from launcher.planning.changes import changes, followers, set_aside
from launcher.runfolder.done import read_done
from launcher.runfolder.events import Tail
from launcher.runfolder.manifest import is_finished
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan, to_json
from launcher.runfolder.problem import closing_error, log_end
from launcher.runfolder.status import RunStatus, status
from launcher.transfer.copy import push
from launcher.transfer.store import read_existing, write_plan

LOOK = 0.2
"""Seconds between looks at a running run."""


@dataclass(frozen=True)
class Run:
    """A run folder in which `plan` can be executed, or has been executed."""

    folder: RunFolder
    plan: Plan
    finished: bool
    old_results: tuple[str, ...] = ()
    """The new names of results that a redo has renamed."""
    work: Work | None = None
    """The node program that works on it already."""


def prepare(new: Plan, folder: RunFolder, redo: str | None, backend: Backend) -> Run:
    """Writes the plan and its inputs into the run folder. An existing run continues only if none of its results would
    change; otherwise LaunchError says which would. `redo` first renames a stage's results and all that follow."""
    old, work, renamed = read_existing(folder), None, list[str]()
    if old is None:
        folder.path.mkdir(parents=True, exist_ok=True)
    else:
        again = followers(new, redo) if redo else []
        _demand_same_results(old, new, folder, again)
        backend.refresh(folder)
        work = backend.find(folder)
        if redo and work:
            _save_result(old, folder, work, backend)
            work = None
        renamed = set_aside(folder, again) if redo else []
    if old is None or (to_json(old) != to_json(new) and not is_finished(new, folder) and not work):
        write_plan(new, folder)
        old = new
    finished = is_finished(old, folder)
    if not finished:
        push(old, folder)
    return Run(folder, old, finished, tuple(renamed), work)


def follow(run: Run, backend: Backend, show: Callable[[RunStatus], None]) -> RunStatus:
    """Follows the run to its end and returns its state then. A node program that already works on it is joined,
    otherwise one is started. When this process is interrupted, it asks the run to stop; the state is `running` if the
    run does not end in time."""
    log_size = run.folder.node_log.stat().st_size if run.folder.node_log.exists() else 0
    work = None
    tail, events = Tail(run.folder.events), []
    started = time.time()
    try:
        with interruptible_after():
            work = run.work if run.work and run.work.end() is None else backend.find(run.folder)
            work = work or backend.start(run.plan, run.folder)
        while True:
            end = work.end()
            events += tail.new()
            now = status(run.plan, events, end is None)
            show(now)
            if end:
                break
            time.sleep(LOOK)
    except KeyboardInterrupt:
        running = work is not None and not work.stop(max(stage.grace for stage in run.plan.stages) + 15)
        return status(run.plan, [*events, *tail.new()], running)
    ends = [float(str(event.get("time", 0))) for event in events if event.get("event") == "run.ended"]
    told = now.error and now.code == end.code and any(moment >= started - 1 for moment in ends)
    if told or end.code in (DONE, None):
        return now
    return _unexplained(end, now, run.folder, log_size)


def exit_code(status: RunStatus) -> int:
    """The launcher's exit code for a run's end."""
    if status.state == "finished":
        return DONE
    return status.code if status.code is not None else INTERRUPTED


def verification(folder: RunFolder, plan: Plan) -> dict[str, object]:
    """What the run's last stage measured on the exported model."""
    done = read_done(folder.stage(plan.stages[-1].name).done)
    return dict(done["metrics"]) if done else {}


def _demand_same_results(old: Plan, new: Plan, folder: RunFolder, again: list[str]) -> None:
    """Raises LaunchError if a stage of the run that is not run `again` would have another result."""
    differences = {
        stage: says
        for stage, says in changes(old, new).items()
        if stage not in again and folder.stage(stage).path.exists()
    }
    if differences:
        stage, says = next(iter(differences.items()))
        raise LaunchError(
            f"run `{new.run}` exists with other settings: stage `{stage}`: {'; '.join(says)}",
            f"`--redo {stage}` runs it and what follows again; `--run NAME` starts another run",
        )


def _save_result(plan: Plan, folder: RunFolder, work: Work, backend: Backend) -> None:
    """Fetches what the run made before a redo renames it. Raises LaunchError while the run works."""
    if (end := work.end()) is None:
        raise LaunchError(f"run `{plan.run}` is running", f"`launcher stop {plan.run}` first")
    if end.code == DONE:
        backend.fetch(plan, folder)


def _unexplained(end: End, now: RunStatus, folder: RunFolder, log_size: int) -> RunStatus:
    """The state of a run whose node program ended without an event that says why."""
    code = end.code if end.code in (2, FAILED, INTERRUPTED) else OURS
    error, hint = closing_error(log_end(folder.node_log, log_size)) or (
        f"the node program ended with code {end.code}",
        f"read {folder.node_log}",
    )
    if end.code is not None and end.code > KILLED:
        error, hint, code = "the node program was killed", "launch again: the run continues", INTERRUPTED
    if end.error:
        error, hint = end.error, end.hint
    return RunStatus(now.run, "failed", now.stages, code, error, hint)
