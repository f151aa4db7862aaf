"""Process control, so that nothing that a stage starts outlives it: prctl and /proc on Linux, nothing elsewhere."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LINUX = sys.platform == "linux"


def adopt_orphans() -> None:
    """Makes this process the parent of each descendant whose own parent dies (Linux)."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Asks for SIGKILL when the thread that made this process ends (Linux). For a child between fork and exec."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def kill_descendants(spared: Collection[int] = (), patience: float = 10.0) -> None:
    """Kills and reaps every descendant of this process except `spared` and their descendants. It gives up after
    `patience` seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        below = descendants(os.getpid(), spared)
        for process in below:
            signal_quietly(process, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        if spared and not below:
            return
        time.sleep(0.02)


def descendants(ancestor: int, spared: Collection[int] = ()) -> list[int]:
    """Process ids below `ancestor`, parents first, without `spared` and their descendants; empty without /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if LINUX else []:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    tree = [ancestor]
    for parent in tree:
        tree += [child for child in children.get(parent, []) if child not in spared]
    return tree[1:]


def signal_quietly(process: int, number: int) -> None:
    """Sends the signal unless the process has ended."""
    with contextlib.suppress(ProcessLookupError):  # it may end at any time
        os.kill(process, number)
