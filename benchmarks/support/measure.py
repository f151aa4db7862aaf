"""The usage of a process: wall and CPU seconds, and its peak of memory."""

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

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Usage:
    """`cpu`, user and system, is of the process and of all below it that it waited for; `peak`, in bytes, is that of
    the largest among them."""

    wall: float
    cpu: float
    peak: int


def run(
    argv: Sequence[str], folder: Path = ROOT, env: Mapping[str, str] | None = None, together: bool = False
) -> Usage:
    """The command has ended with exit code 0; its output is left out. Exits with its last words when it failed. The
    peak is its own as long as this process stays small: a child's maximum begins with its parent's. With `together` it
    is that of all its processes at one time, looked at once a second, what they share counted once."""
    began = time.monotonic()
    out = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(argv, cwd=folder, env=env and {**os.environ, **env}, **out)  # type: ignore[call-overload]
    peak = _Peak(process.pid)
    with process.stderr, peak if together else contextlib.nullcontext():
        complaint = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(argv)} failed:\n{complaint.decode(errors='replace')[-3000:]}")
    return Usage(wall, usage.ru_utime + usage.ru_stime, peak.bytes or usage.ru_maxrss * 1024)


class _Peak:
    """The most memory that a process and its children had together during the block."""

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
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024


def alternate(measurements: Mapping[str, Callable[[], Usage]], rounds: int) -> dict[str, list[Usage]]:
    """The usage of each measurement in each round. They alternate: other work on the machine slows all alike."""
    usages: dict[str, list[Usage]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            usages[name].append(measure())
    return usages


def drop_cache(folder: Path) -> None:
    """The files in the folder are on disk and no longer in the page cache."""
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


def columns(usages: Sequence[Usage]) -> list[str]:
    """Of all rounds: wall seconds, CPU seconds, and the greatest peak in GB."""
    peak = max(usage.peak for usage in usages) / 1e9
    return [spread([usage.wall for usage in usages]), spread([usage.cpu for usage in usages]), f"{peak:.2f}"]
