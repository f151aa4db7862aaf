"""A process beside the stages that stores what the run has to keep. It never holds the run up, and never fails it."""

import os
import select
import time
import traceback
from collections.abc import Callable

from launcher.node.storing import Storing
from launcher.runfolder.events import Events
from launcher.runfolder.processes import die_with_parent, signal_quietly
from launcher.runfolder.rclone import StoreError, say

LOOK, MIRROR = 1.0, 60.0
"""Seconds between looks for something new, and between copies of the small files."""
LONGEST = 120.0
"""Seconds between tries while the store does not answer; the first ones follow sooner."""
TRIES = 3
"""Failures in a row after which the end of a run is not held up any longer."""


class Vault:
    """The process, as the node program sees it."""

    def __init__(self, storing: Storing, events: Events):
        self.events = events
        leash, self.leash = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            code = 1
            try:
                os.close(self.leash)
                os.setsid()  # a Ctrl-C is for the stages
                os.nice(10)
                die_with_parent()
                _keep(storing, events, lambda seconds: bool(select.select([leash], [], [], seconds)[0]))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(leash)

    def finish(self, patience: float) -> None:
        """All is stored, and an event says so; or `patience` seconds have passed, or the store does not answer, and an
        event says that."""
        os.close(self.leash)
        end = time.monotonic() + patience
        while (code := self._code()) is None:
            if time.monotonic() > end:
                signal_quietly(self.process, 9)
                os.waitpid(self.process, 0)
                self._warn(f"it was given {patience:.0f} s")
                return
            time.sleep(0.05)
        if code:
            self._warn("the process that stores ended")

    def _code(self) -> int | None:
        try:
            ended, status = os.waitpid(self.process, os.WNOHANG)
        except ChildProcessError:  # it died while a stage ran, and was buried with it
            return 1
        return os.waitstatus_to_exitcode(status) if ended else None

    def _warn(self, why: str) -> None:
        self.events.add("run.warning", warning=f"not everything is stored: {why}")


def _keep(storing: Storing, events: Events, ending: Callable[[float], bool]) -> None:
    """Everything there is to keep is stored as soon as it can be, until the run has ended and all is stored, or cannot
    be. `ending(seconds)` waits so long at most for the run's end."""
    pause, failed, mirrored, last = 0.0, 0, 0.0, False
    while True:
        try:
            kept = storing.next()
            if kept:
                events.add("stage.stored", stage=kept.stage, kind=kept.kind, path=kept.path, step=kept.step)
            elif last:
                storing.mirror()
                _say_all(storing, events)
                return
            if time.monotonic() - mirrored > MIRROR:
                storing.mirror()
                mirrored = time.monotonic()
            pause, failed = 0.0 if kept else LOOK, 0
        except (StoreError, OSError) as problem:
            failed += 1
            pause = min(LONGEST, 2.0 ** (failed - 1))
            say(problem)
            where = f"`{storing.bucket.url}`: {problem}"
            if last and failed >= TRIES:
                events.add("run.warning", warning=f"not everything is stored in {where}")
                return
            if failed == 1 and not last:
                events.add("run.warning", warning=f"nothing can be stored now in {where}; tried again until it can")
        if last:
            time.sleep(min(pause, 2.0) if failed else 0)
        else:
            last = ending(pause)


def _say_all(storing: Storing, events: Events) -> None:
    if storing.complete():
        manifest = any(one.path == "manifest.json" for one in storing.index or ())
        events.add("run.stored", step=storing.newest(), manifest=manifest)
        storing.mirror()
    else:
        events.add("run.warning", warning="not everything is stored: something to keep is gone from the run folder")
