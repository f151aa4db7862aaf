"""A lock that allows one node program per run folder, even if an earlier one died and its trainer still runs."""

import fcntl
import os
import time
from pathlib import Path

PATIENCE = 5.0
"""Seconds to wait for a lock: the processes of a killed run need a moment to die, and `holder` takes the lock for a
moment too."""


class Locked(Exception):
    """Another process holds the lock."""


class Lock:
    """An flock on a file. The stage's processes inherit its handle: the lock lasts as long as one of them lives."""

    def __init__(self, path: Path):
        self.path = path
        self.handle = -1

    def __enter__(self) -> "Lock":
        """Raises Locked if another process has it."""
        self.handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    os.close(self.handle)
                    raise Locked from None
                time.sleep(0.1)
        os.ftruncate(self.handle, 0)
        os.write(self.handle, f"{os.getpid()}\n".encode())
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)


def holder(path: Path) -> int | None:
    """The process id of the node program that works on this folder; None without one, 0 if the id cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = path.read_text().strip()
        return int(text) if text.isdecimal() else 0
    finally:
        os.close(handle)
    return None
