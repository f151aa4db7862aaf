"""`python -m launcher.node RUN_FOLDER [--code FOLDER] [--stages A,B]`: executes the plan in RUN_FOLDER. Exit codes: 0
done, 2 a mistake of the user, 3 a stage failed, 33 interrupted (run it again), 1 a defect of the launcher."""

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
from launcher.runfolder.secrets import load_secrets

SHORTEST, LONGEST = 60.0, 1800.0
"""Limits, in seconds, for the upload of a run's last results; between them the rest of the budget decides."""


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
        load_secrets(plan.run)
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
        path, hint = problem.filename or folder.path, "make room and launch again: what is done stays done"
        _say(2, f"error: no space left for `{path}`\n\nhint: {hint}")
        return FAILED
    _say(
        1, f"{plan.run}: {', '.join(options.stages)} done" if options.stages else f"{plan.run}: done, {folder.manifest}"
    )
    return DONE


def _work(plan: Plan, site: Site, stages: tuple[str, ...] | None) -> None:
    """Executes the run. If it fails, an event says why. In both cases the upload has had its time."""
    uploads = None
    try:
        only = _known(stages, plan)
        if plan.bucket and not site.stop.reason():
            restore(plan, site)
            uploads = UploadProcess(Upload(plan, site.folder), site.events)
        run(plan, site, only)
    except Problem as problem:
        site.events.add("run.ended", **problem.facts)
        raise
    finally:
        if uploads:
            uploads.finish(max(SHORTEST, min(LONGEST, site.stop.seconds_left())))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _known(only: tuple[str, ...] | None, plan: Plan) -> tuple[str, ...] | None:
    """`only`, once each of its names is a stage of the plan. Raises Problem."""
    for name in only or ():
        if name not in {stage.name for stage in plan.stages}:
            raise Problem(f"the plan has no stage `{name}`", "`--stages` names stages of plan.json", MISTAKE)
    return only


def _say(handle: int, text: str) -> None:
    with contextlib.suppress(OSError):  # on a full disk there is no room for a message; the exit code still counts
        os.write(handle, f"{text}\n".encode(errors="surrogateescape"))


if __name__ == "__main__":
    sys.exit(main())
