"""The logs that may say why a run failed: the end of each file, a few megabytes at most."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.clouds.ledger import Ledger
from launcher.diagnosis.rules import Where
from launcher.runfolder.events import Tail
from launcher.runfolder.paths import RunFolder

MOST = 4 << 20
"""Bytes read of each file, from its end."""
COUNTED = 256 << 20
"""In so many bytes before that end lines are counted."""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SHOWN = 240
"""The most characters of a line."""


@dataclass(frozen=True)
class Log:
    """The end of a file, as text."""

    kind: Where
    path: Path
    text: str
    skipped: int
    """Bytes of the file before this text."""

    def at(self, position: int) -> "Line":
        """The line with the character at `position` of the text."""
        start = self.text.rfind("\n", 0, position) + 1
        line = self.text[start:].partition("\n")[0].rpartition("\r")[2]
        line = ANSI.sub("", line).strip()
        number = self._number(start)
        return Line(self.path, number, line if len(line) <= SHOWN else line[: SHOWN - 1] + "…")

    def closing(self) -> "Log":
        """The log from its last `error: ` on; all of it without one."""
        start = ("\n" + self.text).rfind("\nerror: ")
        return self.since(start) if start > 0 else self

    def since(self, start: int) -> "Log":
        """The log from this position of its text on."""
        return Log(self.kind, self.path, self.text[start:], self.skipped + len(self.text[:start].encode()))

    def _number(self, start: int) -> int | None:
        if self.skipped > COUNTED:
            return None
        before = 0
        with open(self.path, "rb") as file:
            left = self.skipped
            while left and (block := file.read(min(left, 1 << 20))):
                before += block.count(b"\n")
                left -= len(block)
        return before + self.text.count("\n", 0, start) + 1


@dataclass(frozen=True)
class Line:
    """A line of a file. `number` counts from 1; None in a file that is too long to count."""

    path: Path
    number: int | None
    text: str

    @property
    def location(self) -> str:
        return f"{self.path}:{self.number}" if self.number else str(self.path)


def logs(folder: RunFolder, stage: str | None, book: Ledger) -> Iterator[Log]:
    """The logs of the last attempt, the most useful first: the stage's own log, then the others."""
    events = Tail(folder.events).new()
    if stage:
        yield from _end("stage", folder.stage(stage).log, _began(events, "stage.started", stage))
    yield from _end("node", folder.node_log, _began(events, "run.started", None))
    jobs = sorted(folder.path.glob("slurm/*.out"), key=lambda path: path.stat().st_mtime)
    for path in jobs[-1:]:
        yield from _end("slurm", path)
    launch = folder.path / "launch.log"
    last = max((float(event.get("time") or 0) for event in events), default=0.0)
    if launch.exists() and launch.stat().st_mtime > last:
        yield from _end("launch", launch)  # an older launch.log is about a problem that is solved
    yield from _last_events(folder)
    for path in book.files(folder.path.name)[-1:]:
        yield from _end("ledger", path)


def _end(kind: Where, path: Path, start: int = 0) -> Iterator[Log]:
    """The file's last bytes, none before `start`; nothing for an empty or missing file."""
    if not path.is_file():
        return
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        skipped = max(start if start <= size else 0, size - MOST)
        file.seek(skipped)
        text = file.read(MOST).decode(errors="replace")
    if text:
        yield Log(kind, path, text, skipped)


def _began(events: Sequence[Mapping[str, Any]], kind: str, stage: str | None) -> int:
    """The length of the log before the last attempt."""
    starts = [event for event in events if event.get("event") == kind and event.get("stage") == stage]
    return int(starts[-1].get("logged") or 0) if starts else 0


def _last_events(folder: RunFolder) -> Iterator[Log]:
    """The events since the last start of the run."""
    for log in _end("events", folder.events):
        began = log.text.rfind('"event": "run.started"')
        yield log.since(log.text.rfind("\n", 0, max(began, 0)) + 1)
