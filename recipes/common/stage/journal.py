"""The rows that a long stage makes, one after the other: a file that is only appended to, and survives any kill."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.stage.command import Interrupted, Progress, StageError
from recipes.common.stage.files import whole_file, whole_folder

FILE = "rows.jsonl"
KEEP = 2
"""Checkpoints that stay: one may be on its way to another machine while the next is made."""


class Journal:
    """The rows in `{work}/rows.jsonl`.

    Opening it removes a last line that a kill cut off. When the file is gone, the newest checkpoint's is copied. `rows`
    are all rows in it. A checkpoint is a folder `rows-N` below `work` with the first N rows, whole and never changed.
    """

    def __init__(self, work: Path):
        work.mkdir(parents=True, exist_ok=True)
        self.work, self.path = work, work / FILE
        kept = _checkpoints(work)
        if not self.path.exists() and kept:
            shutil.copyfile(kept[-1] / FILE, self.path)
        _drop_torn(self.path)
        self.rows = list(read_jsonl(self.path))

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Adds the rows to the end of the file, one a line; they are on disk."""
        new = list(rows)
        with open(self.path, "ab") as file:
            file.write(b"".join(map(_line, new)))
            file.flush()
            os.fsync(file.fileno())
        self.rows += new

    def checkpoint(self) -> str:
        """The name of a folder below `work` that holds all rows there are."""
        name = f"rows-{len(self.rows):07d}"
        if not (self.work / name).exists():
            with whole_folder(self.work / name) as folder:
                shutil.copyfile(self.path, folder / FILE)
            for old in _checkpoints(self.work)[:-KEEP]:
                shutil.rmtree(old)
        return name


Row = dict[str, Any]


@dataclass(frozen=True)
class Batches:
    """How a stage makes its rows, batch after batch."""

    at_once: int
    """Rows of a batch."""
    save_every: int
    """Rows between two checkpoints."""
    row: str
    """What a row is, in the name of a metric: `seconds_per_<row>`."""
    stopped: str
    """What an interruption says of the rows that are there, and of all."""

    def extend(
        self,
        journal: Journal,
        rows: list[Row],
        make: Callable[[list[Row], int], list[Row]],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> None:
        """The journal holds a row for each of `rows`, in order: what `make` makes of a batch and of the place of its
        first row among all. Raises Interrupted after `stop` and a checkpoint."""
        began, first, total = time.monotonic(), len(journal.rows), len(rows)
        while (done := len(journal.rows)) < total:
            if stop():
                progress.checkpoint(journal.checkpoint(), done)
                raise Interrupted(self.stopped.format(done, total))
            start = done - done % self.at_once
            # Of a batch that was cut off, the rows that are there stay, and the same ones again are left out.
            journal.append(make(rows[start : start + self.at_once], start)[done - start :])
            count = len(journal.rows)
            each = (time.monotonic() - began) / (count - first)
            numbers = {f"seconds_per_{self.row}": round(each, 3), "eta_seconds": round(each * (total - count), 1)}
            progress.step(count, total, numbers)
            if count // self.save_every > done // self.save_every:
                progress.checkpoint(journal.checkpoint(), count)


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The file's rows; a StageError for a line that is not a JSON object."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise StageError(f"`{path}`: line {number} is damaged", "delete the file; the stage makes a new one")
            yield row


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """The file holds the rows, whole and on disk, or what it held before."""
    with whole_file(path) as file:
        file.writelines(map(_line, rows))


def _line(row: dict[str, Any]) -> bytes:
    """The row's line; half a surrogate pair, which UTF-8 cannot hold, is escaped."""
    return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _checkpoints(work: Path) -> list[Path]:
    return sorted(path for path in work.glob("rows-*") if (path / FILE).is_file())


def _drop_torn(path: Path) -> None:
    """The file ends with its last whole line."""
    path.touch()
    with open(path, "rb+") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
            os.fsync(file.fileno())
