"""`events.jsonl`: what happened in a run, one JSON object a line. Lines are only ever appended."""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from launcher.runfolder.validation import valid_line

LONGEST = 1 << 20
"""Bytes of a line."""


class Events:
    """The writer of the file."""

    def __init__(self, path: Path):
        self.path = path

    def add(self, event: str, **facts: Any) -> None:
        """Appends an event, on a line of its own even if a kill has cut off the line before it. The process that
        uploads writes here too."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **facts}, ensure_ascii=False) + "\n"
        with open(self.path, "ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = "\n" + line
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


class Tail:
    """The new complete lines of a growing file of JSON lines. Damaged and foreign lines are skipped, and lines longer
    or deeper than any of ours. A file that has become shorter has been started again: all its lines are new."""

    def __init__(self, path: Path, offset: int = 0):
        self.path, self.offset = path, offset

    def new(self) -> list[dict[str, Any]]:
        try:
            with open(self.path, "rb") as file:
                if os.fstat(file.fileno()).st_size < self.offset:
                    self.offset = 0
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        events = []
        for line in whole.splitlines():
            try:
                value = json.loads(line) if len(line) <= LONGEST else None
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict) and (known := valid_line(value)) is not None:
                events.append(known)
        return events
