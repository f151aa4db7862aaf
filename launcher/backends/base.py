"""What a backend is: where a run's node program is started, found again and stopped. Nothing else."""

from dataclasses import dataclass
from typing import Protocol

from launcher.errors import LaunchError
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan

KILLED = 128
"""An exit code above this says which signal ended the process, as a shell says it."""


@dataclass(frozen=True)
class End:
    """How a node program ended; `code` is None when nobody saw it, `error` what the machine knows beyond the code."""

    code: int | None
    error: str | None = None
    hint: str = ""


class Work(Protocol):
    """A node program that works on a run folder."""

    def end(self) -> End | None:
        """None while it works."""

    def stop(self, patience: float) -> bool:
        """Asks it to checkpoint and end; whether it has ended after `patience` seconds."""


class Backend(Protocol):
    """A kind of machine."""

    def start(self, plan: Plan, folder: RunFolder) -> Work:
        """A node program works on the run folder and lives on when this process ends; its output goes to node.log.
        Raises LaunchError."""

    def find(self, folder: RunFolder) -> Work | None:
        """The node program that works on the run folder, or something it left behind; None when there is none."""

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        """The export of a finished run lies in its folder here. Raises LaunchError."""

    def unsaved(self, folder: RunFolder) -> LaunchError | None:
        """Why the run's newest work cannot be copied here from a machine that is lost with it; None where it is here,
        or the machine does not answer."""

    def down(self, folder: RunFolder, why: str) -> None:
        """Nothing that costs money is left of the run. Raises LaunchError when something may be."""
