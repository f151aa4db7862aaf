"""One node program per run folder, also when an earlier one died and left its trainer behind."""

import fcntl
import os
import time
from pathlib import Path

PATIENCE = 5.0
"""Seconds to wait for a lock: a killed run's processes need a moment to die, and whoever asks for the state holds it
for a moment."""


class Locked(Exception):
    """Another process holds the lock."""


class Lock:
    """An flock on a file. Its handle is passed to the stage's processes: while one of them lives, so does the lock."""

    def __init__(self, path: Path):
        self.path = path
        self.handle = -1

    def __enter__(self) -> "Lock":
        """Raises Locked when somebody else has it."""
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
    """The process id of the node program that runs on this folder; None when none does, 0 when it cannot be read."""
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
