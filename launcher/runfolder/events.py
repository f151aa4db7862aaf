"""`events.jsonl`: what happened in a run, a JSON object a line, only ever appended to."""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from launcher.runfolder.validation import heard

LONGEST = 1 << 20
"""Bytes of a line."""


class Events:
    """The node program's end of the file."""

    def __init__(self, path: Path):
        self.path = path

    def add(self, event: str, **facts: Any) -> None:
        """The line is in the file, on its own line even when a kill tore the one before it. The vault's process writes
        here too."""
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
    """New whole lines of a growing file of JSON lines; torn or foreign lines are passed over, and so are those that are
    longer or deeper than any of ours. A file that is shorter than it was has been begun anew: all of it is new."""

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
        found = []
        for line in whole.splitlines():
            try:
                value = json.loads(line) if len(line) <= LONGEST else None
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict) and (known := heard(value)) is not None:
                found.append(known)
        return found
