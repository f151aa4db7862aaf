"""One launch: a run folder made or found again, the node program started or joined, the result brought home."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from launcher.backends.base import KILLED, Backend, End, Work
from launcher.errors import DONE, FAILED, INTERRUPTED, OURS, LaunchError
from launcher.interrupts import held_back
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
class Ready:
    """A run folder in which `plan` can be carried out, or has been."""

    folder: RunFolder
    plan: Plan
    finished: bool
    set_aside: tuple[str, ...] = ()
    work: Work | None = None
    """The node program that works on it already."""


def ready(new: Plan, folder: RunFolder, redo: str | None, backend: Backend) -> Ready:
    """The run folder holds the plan and its inputs. An existing run is taken up again only when nothing it has done
    would differ; otherwise LaunchError says what does. `redo` sets a stage and what follows it aside first."""
    old, work = read_existing(folder), None
    moved: list[str] = []
    if old is None:
        folder.path.mkdir(parents=True, exist_ok=True)
        write_plan(new, folder)
        old = new
    else:
        again = followers(new, redo) if redo else []
        differs = {
            stage: says
            for stage, says in changes(old, new).items()
            if stage not in again and folder.stage(stage).path.exists()
        }
        if differs:
            stage, says = next(iter(differs.items()))
            raise LaunchError(
                f"run `{new.run}` exists with other settings: stage `{stage}`: {'; '.join(says)}",
                f"`--redo {stage}` does it and what follows again; `--run NAME` starts another run",
            )
        work = backend.find(folder)
        if redo and work:
            if (end := work.end()) is None:
                raise LaunchError(f"run `{new.run}` is running", f"`launcher stop {new.run}` first")
            work = None
            if end.code == DONE:
                backend.fetch(old, folder)  # what it made is kept
        moved = set_aside(folder, again) if redo else []
        if to_json(old) != to_json(new) and not is_finished(new, folder) and not work:
            write_plan(new, folder)
            old = new
    finished = is_finished(old, folder)
    if not finished:
        push(old, folder)
    return Ready(folder, old, finished, tuple(moved), work)


def follow(ready: Ready, backend: Backend, show: Callable[[RunStatus], None]) -> RunStatus:
    """The run's state at its end. A node program that already works on it is joined, otherwise one is started. When
    this process is interrupted, so is the run; its state is `running` when it did not end in time."""
    logged = ready.folder.node_log.stat().st_size if ready.folder.node_log.exists() else 0
    work = None
    tail, events = Tail(ready.folder.events), []
    started = time.time()
    try:
        with held_back():
            work = ready.work if ready.work and ready.work.end() is None else backend.find(ready.folder)
            work = work or backend.start(ready.plan, ready.folder)
        while True:
            end = work.end()
            events += tail.new()
            now = status(ready.plan, events, end is None)
            show(now)
            if end:
                break
            time.sleep(LOOK)
    except KeyboardInterrupt:
        running = work is not None and not work.stop(max(stage.grace for stage in ready.plan.stages) + 15)
        return status(ready.plan, [*events, *tail.new()], running)
    if end.code in (DONE, None) or (now.error and now.code == end.code and _said_since(events, started)):
        return now
    return _unexplained(end, now, ready.folder, logged)


def exit_code(status: RunStatus) -> int:
    """The launcher's exit code for a run's end."""
    if status.state == "finished":
        return DONE
    return status.code if status.code is not None else INTERRUPTED


def verification(folder: RunFolder, plan: Plan) -> dict[str, object]:
    """What the run's last stage found out about the exported model."""
    done = read_done(folder.stage(plan.stages[-1].name).done)
    return dict(done["metrics"]) if done else {}


def _unexplained(end: End, now: RunStatus, folder: RunFolder, logged: int) -> RunStatus:
    """The state of a run whose node program ended without an event that says why."""
    code = end.code if end.code in (2, FAILED, INTERRUPTED) else OURS
    error, hint = closing_error(log_end(folder.node_log, logged)) or (
        f"the node program ended with code {end.code}",
        f"read {folder.node_log}",
    )
    if end.code is not None and end.code > KILLED:
        error, hint, code = "the node program was killed", "launch again: the run continues", INTERRUPTED
    if end.error:
        error, hint = end.error, end.hint
    return RunStatus(now.run, "failed", now.stages, code, error, hint)


def _said_since(events: list[dict[str, object]], moment: float) -> bool:
    return any(one.get("event") == "run.ended" and float(str(one.get("time", 0))) >= moment - 1 for one in events)
