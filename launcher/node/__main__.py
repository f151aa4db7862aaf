"""`python -m launcher.node RUN_FOLDER [--code FOLDER] [--stages A,B]`: carries out the plan in RUN_FOLDER; the exit
code says how it went: 0 done, 2 the user's mistake, 3 a stage failed, 33 interrupted (run it again), 1 our fault."""

import argparse
import contextlib
import errno
import os
import signal
import sys
from pathlib import Path

from launcher.node.limits import Stop, read_limits
from launcher.node.restore import restore
from launcher.node.run import read_plan, run
from launcher.node.stage import Site
from launcher.node.upload import Upload, UploadProcess
from launcher.runfolder.events import Events
from launcher.runfolder.lock import Lock, Locked, holder
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.problem import DONE, FAILED, MISTAKE, Problem
from launcher.runfolder.processes import adopt_orphans, signal_quietly
from launcher.runfolder.secrets import take

SHORTEST, LONGEST = 60.0, 1800.0
"""Seconds that the storing of a run's last results may take: what the budget leaves, within these."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m launcher.node", description=__doc__)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--code", type=Path, default=Path.cwd(), help="the folder that holds recipes/ (default: here)")
    parser.add_argument("--stages", type=_names, help="only these of the plan's stages, with commas between")
    parser.add_argument("--stop", action="store_true", help="ask the program that works on RUN_FOLDER to stop")
    options = parser.parse_args()
    folder = RunFolder(options.run_folder.resolve())
    if options.stop:
        if process := holder(folder.lock):
            signal_quietly(process, signal.SIGTERM)
        return DONE
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.append(number))
    adopt_orphans()
    try:
        plan = read_plan(folder)
        take(plan.run)
        with Lock(folder.lock) as lock:
            stop = Stop(read_limits(folder.limits), asked)
            site = Site(folder, options.code.resolve(), Events(folder.events), lock.handle, stop)
            _work(plan, site, options.stages)
    except Locked:
        _say(2, f"error: another node program works on `{folder.path}`\n\nhint: `launcher status` shows it")
        return MISTAKE
    except Problem as problem:
        _say(2, str(problem))
        return problem.code
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place, hint = problem.filename or folder.path, "make room and launch again: what is done stays done"
        _say(2, f"error: no space left for `{place}`\n\nhint: {hint}")
        return FAILED
    _say(
        1, f"{plan.run}: {', '.join(options.stages)} done" if options.stages else f"{plan.run}: done, {folder.manifest}"
    )
    return DONE


def _work(plan: Plan, site: Site, stages: tuple[str, ...] | None) -> None:
    """The run is done, or an event says why not; either way what there is to keep was given time to be stored."""
    vault = None
    try:
        only = _known(stages, plan)
        if plan.bucket and not site.stop.reason():
            restore(plan, site)
            vault = UploadProcess(Upload(plan, site.folder), site.events)
        run(plan, site, only)
    except Problem as problem:
        site.events.add("run.ended", **problem.facts)
        raise
    finally:
        if vault:
            vault.finish(max(SHORTEST, min(LONGEST, site.stop.seconds_left())))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _known(only: tuple[str, ...] | None, plan: Plan) -> tuple[str, ...] | None:
    """`only`, all of which are stages of the plan."""
    for name in only or ():
        if name not in {stage.name for stage in plan.stages}:
            raise Problem(f"the plan has no stage `{name}`", "`--stages` names stages of plan.json", MISTAKE)
    return only


def _say(handle: int, text: str) -> None:
    """Where the disk is full there may be no place for a message either; the exit code still counts."""
    with contextlib.suppress(OSError):
        os.write(handle, f"{text}\n".encode(errors="surrogateescape"))


if __name__ == "__main__":
    sys.exit(main())
