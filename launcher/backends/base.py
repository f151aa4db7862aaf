"""The protocol of a backend: what starts, follows and ends runs in one way."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from launcher.errors import LaunchError
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan

KILLED = 128
"""An exit code above this says which signal ended the process, as in a shell."""


@dataclass(frozen=True)
class End:
    """How a node program ended; `code` is None if nobody saw it, `error` is what the machine knows beyond the code."""

    code: int | None
    error: str | None = None
    hint: str = ""


class Work(Protocol):
    """A node program that works on a run folder."""

    def end(self) -> End | None:
        """How it ended; None while it works."""

    def stop(self, patience: float) -> bool:
        """Asks it to write a checkpoint and end. Returns whether it has ended after `patience` seconds."""

    def waits_for(self) -> str | None:
        """Why it does not work yet, for example in the queue of a cluster; None if it works."""
        return None


class Backend(Protocol):
    """One way to execute runs. Every backend has all of these methods and no other public ones. Those with a body serve
    a backend whose run folder is on this machine, or outlives the machine, and that costs nothing."""

    def start(self, plan: Plan, folder: RunFolder) -> Work:
        """Starts a node program on the run folder. It continues when this process ends; its output goes to node.log.
        Raises LaunchError."""

    def find(self, folder: RunFolder) -> Work | None:
        """The node program that works on the run folder, or what it left behind; None if there is none. It only looks:
        it copies no file and changes nothing on the machine."""

    def refresh(self, folder: RunFolder) -> None:
        """Copies the newest events and logs from the machine into the run folder here."""
        return

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        """Copies the export of a finished run into the run folder here. Raises LaunchError."""
        return

    def save(self, folder: RunFolder) -> LaunchError | None:
        """Copies what would be lost with the machine. Returns why this is impossible; None if all is here, or if the
        machine does not answer."""
        return None

    def down(self, folder: RunFolder, why: str) -> bool:
        """Ends the run: it costs no money and has no job in a queue afterwards. Returns whether there was a machine or
        a job. Raises LaunchError if something may be left."""
        return False


def wait_until(condition: Callable[[], bool], patience: float, pause: float) -> bool:
    """Looks every `pause` seconds whether the condition holds, for `patience` seconds at most. Returns whether it
    does."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
