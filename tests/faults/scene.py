"""What a fault finds: a launch that is held at a moment, and what surrounds it."""

import random
import subprocess
from dataclasses import dataclass, field
from typing import Any

from tests.faults.cells import Cell
from tests.faults.local import Ended, Local
from tests.faults.moments import Moment


@dataclass
class Scene:
    """A launch that is held, or, with `process` ended, was."""

    cell: Cell
    backend: Local
    moment: Moment
    draws: random.Random
    process: "subprocess.Popen[str]"
    disk: Any = None
    """The file system with the run folder, where it can be filled."""
    gate: Any = None
    """The way to the bucket, where the run has one."""
    others: list[Ended] = field(default_factory=list)
    """How further launches ended."""
    redone: set[str] = field(default_factory=set)
    """Stages that the user did again on purpose."""
    intervals: int = 1
    """How many save intervals may be repeated."""
