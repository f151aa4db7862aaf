"""What a run left that may say why it failed: the ends of its logs, never more than a few megabytes of each."""

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
"""Bytes of a file before that end in which lines are counted."""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SHOWN = 240
"""Characters shown of a line."""


@dataclass(frozen=True)
class Log:
    """The end of a file, as text."""

    kind: Where
    path: Path
    text: str
    skipped: int
    """Bytes before it."""

    def at(self, position: int) -> "Line":
        """The line with the character at `position` of the text."""
        start = self.text.rfind("\n", 0, position) + 1
        line = self.text[start:].partition("\n")[0].rpartition("\r")[2]
        line = ANSI.sub("", line).strip()
        number = self._number(start)
        return Line(self.path, number, line if len(line) <= SHOWN else line[: SHOWN - 1] + "…")

    def closing(self) -> "Log":
        """What it says from its last `error: ` on; all of it when there is none."""
        start = ("\n" + self.text).rfind("\nerror: ")
        if start <= 0:
            return self
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
    """A line of a file; `number` counts from 1, None in a file that is too long to count."""

    path: Path
    number: int | None
    text: str

    @property
    def place(self) -> str:
        return f"{self.path}:{self.number}" if self.number else str(self.path)


def logs(folder: RunFolder, stage: str | None, book: Ledger) -> Iterator[Log]:
    """What there is of the last attempt, what says most first: the stage's own words, then everybody else's."""
    events = Tail(folder.events).new()
    if stage:
        yield from _end("stage", folder.stage(stage).log, _began(events, "stage.started", stage))
    yield from _end("node", folder.node_log, _began(events, "run.started", None))
    jobs = sorted(folder.path.glob("slurm/*.out"), key=lambda path: path.stat().st_mtime)
    for path in jobs[-1:]:
        yield from _end("slurm", path)
    launch = folder.path / "launch.log"
    if launch.exists() and launch.stat().st_mtime > max((float(one.get("time") or 0) for one in events), default=0.0):
        yield from _end("launch", launch)  # or else what it complains of was overcome
    yield from _last_events(folder)
    for path in book.files(folder.path.name)[-1:]:
        yield from _end("ledger", path)


def _end(kind: Where, path: Path, start: int = 0) -> Iterator[Log]:
    """The file's last bytes, from `start` on at the earliest; nothing when there are none."""
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
    """How long the log was before the last attempt."""
    starts = [one for one in events if one.get("event") == kind and one.get("stage") == stage]
    return int(starts[-1].get("logged") or 0) if starts else 0


def _last_events(folder: RunFolder) -> Iterator[Log]:
    """The events since the run was started the last time."""
    for log in _end("events", folder.events):
        began = log.text.rfind('"event": "run.started"')
        start = log.text.rfind("\n", 0, max(began, 0)) + 1
        yield Log(log.kind, log.path, log.text[start:], log.skipped + len(log.text[:start].encode()))
