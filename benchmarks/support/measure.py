"""What a process took: wall and CPU seconds, and its peak of memory."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from launcher.runfolder.processes import descendants

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Took:
    """`cpu`, user and system, is of the process and of all below it that it waited for; `peak`, in bytes, is that of
    the largest among them."""

    wall: float
    cpu: float
    peak: int


def run(argv: Sequence[str], folder: Path = ROOT, env: Mapping[str, str] | None = None, together: bool = False) -> Took:
    """The command has ended with exit code 0; its output is left out. Exits with its last words when it failed. The
    peak is its own as long as this process stays small: a child's maximum begins with its parent's. With `together` it
    is that of all its processes at one time, looked at once a second, what they share counted once."""
    began = time.monotonic()
    out = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(argv, cwd=folder, env=env and {**os.environ, **env}, **out)  # type: ignore[call-overload]
    largest = _Largest(process.pid)
    with process.stderr, largest if together else contextlib.nullcontext():
        complaint = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(argv)} failed:\n{complaint.decode(errors='replace')[-3000:]}")
    return Took(wall, usage.ru_utime + usage.ru_stime, largest.bytes or usage.ru_maxrss * 1024)


class _Largest:
    """What a process and those below it held together, at most, while the block lasted."""

    def __init__(self, process: int):
        self.process, self.bytes = process, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.over.wait(1.0):
            self.bytes = max(self.bytes, sum(map(_share, [self.process, *descendants(self.process)])))


def _share(process: int) -> int:
    """Bytes of memory that the process holds; of what several hold, its share (Pss, proc(5))."""
    try:
        said = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in said.splitlines() if line.startswith("Pss:")) * 1024


def in_turn(ways: Mapping[str, Callable[[], Took]], rounds: int) -> dict[str, list[Took]]:
    """What each way took in each round: one after the other, so that what else the machine does meets all alike."""
    found: dict[str, list[Took]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    return found


def forget(folder: Path) -> None:
    """The files below are on disk and not in the page cache."""
    for file in folder.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Our median as a share of theirs."""
    return median(ours) / median(theirs)


def lengths(names: Sequence[str], moments: Sequence[float]) -> dict[str, float]:
    """Seconds from each moment to the next, by name."""
    return {name: after - before for name, (before, after) in zip(names, pairwise(moments), strict=True)}


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """The median, and where there are several values the least and the greatest."""
    middle = f"{median(values):{form}}"
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"


def columns(took: Sequence[Took]) -> list[str]:
    """Of all rounds: wall seconds, CPU seconds, and the greatest peak in GB."""
    peak = max(one.peak for one in took) / 1e9
    return [spread([one.wall for one in took]), spread([one.cpu for one in took]), f"{peak:.2f}"]
