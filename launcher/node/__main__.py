"""`python -m launcher.node RUN_FOLDER [--code FOLDER]`: carries out the plan in RUN_FOLDER; the exit code says how it
went: 0 done, 2 the user's mistake, 3 a stage failed, 33 interrupted (run it again), 1 a fault of this program."""

import argparse
import contextlib
import errno
import os
import signal
import sys
from pathlib import Path

from launcher.node.events import Events
from launcher.node.folder import RunFolder
from launcher.node.lock import Lock, Locked
from launcher.node.problem import DONE, FAILED, MISTAKE, Problem
from launcher.node.processes import adopt_orphans
from launcher.node.run import read_plan, run
from launcher.node.stages import Site


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m launcher.node", description=__doc__)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--code", type=Path, default=Path.cwd(), help="the folder that holds recipes/ (default: here)")
    options = parser.parse_args()
    folder = RunFolder(options.run_folder.resolve())
    stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: stop.append(number))
    adopt_orphans()
    try:
        plan = read_plan(folder)
        with Lock(folder.lock) as lock:
            events = Events(folder.events)
            try:
                run(plan, Site(folder, options.code.resolve(), events, lock.handle, lambda: bool(stop)))
            except Problem as problem:
                events.add("run.ended", code=problem.code, error=problem.error, hint=problem.hint)
                raise
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
    _say(1, f"{plan.run}: done, {folder.manifest}")
    return DONE


def _say(handle: int, text: str) -> None:
    """Where the disk is full there may be no place for a message either; the exit code still counts."""
    with contextlib.suppress(OSError):
        os.write(handle, f"{text}\n".encode(errors="surrogateescape"))


if __name__ == "__main__":
    sys.exit(main())
