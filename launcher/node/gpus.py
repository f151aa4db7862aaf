"""The GPUs' memory and load while a stage runs, read from the driver's `nvidia-smi`."""

import contextlib
import re
import subprocess
import time
from typing import Any

from launcher.runfolder.processes import die_with_parent

EVERY, PATIENCE = 30.0, 20.0
"""Seconds between two questions, and seconds that an answer may take."""
ASK = ["nvidia-smi", "--query-gpu=name,memory.total,memory.used,utilization.gpu", "--format=csv,noheader,nounits"]
NUMBER = re.compile("[0-9]{1,12}")


class Gpus:
    """Asks without waiting, so that a driver that hangs delays nothing. Without a driver it asks nothing."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.absent = False
        self.asked = -EVERY

    def new(self) -> dict[str, Any] | None:
        """The driver's answer, if a new one is there."""
        now = time.monotonic()
        if self.process is None:
            if not self.absent and now - self.asked >= EVERY:
                self._ask(now)
            return None
        if self.process.poll() is None:
            if now - self.asked > PATIENCE:
                self.absent = True  # a driver that hangs is not asked again
                self.close()
            return None
        text, _ = self.process.communicate()
        self.process = None
        return read(text)

    def close(self) -> None:
        """Ends a question that is not answered yet."""
        if self.process and self.process.stdout:
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a process in the driver may not die at once
                self.process.wait(1)
            self.process.stdout.close()
        self.process = None

    def _ask(self, now: float) -> None:
        self.asked = now
        nothing = subprocess.DEVNULL
        try:
            self.process = subprocess.Popen(
                ASK,
                stdin=nothing,
                stdout=subprocess.PIPE,
                stderr=nothing,
                text=True,
                errors="replace",
                preexec_fn=die_with_parent,
            )
        except OSError:
            self.absent = True


def read(text: str) -> dict[str, Any] | None:
    """`name` and `total` MiB of the first GPU; `used` MiB and `busy` % of each, in the driver's order. None if the text
    is no such table; a number that the driver does not know (`[N/A]`) is 0."""
    rows = [[cell.strip() for cell in line.rsplit(",", 3)] for line in text.splitlines()]
    rows = [row for row in rows if len(row) == 4 and NUMBER.fullmatch(row[1])]
    if not rows:
        return None
    return {
        "name": rows[0][0],
        "total": int(rows[0][1]),
        "used": [_number(row[2]) for row in rows],
        "busy": [_number(row[3]) for row in rows],
    }


def _number(text: str) -> int:
    return int(text) if NUMBER.fullmatch(text) else 0
