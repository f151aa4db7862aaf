"""The rows of a data file, one at a time and in bounded memory: JSONL, as it is or in gzip, or parquet.

They are told apart by their first bytes.
"""

import codecs
import gzip
import json
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from recipes.common.stage.command import Mistake

PARQUET, GZIP = b"PAR1", b"\x1f\x8b"
BATCH = 256
"""Rows of parquet turned into Python values at a time: 25 MB where every text has 100 KB."""

LONGEST = 64 << 20
"""Bytes of a line."""
LISTED = 5
"""Bad rows that are named in a sentence; the others are counted."""


class BadRow(Exception):
    """What is wrong with a row: with its `column`, or, when `column` is empty, with the whole row."""

    def __init__(self, column: str, text: str):
        super().__init__(column, text)
        self.column, self.text = column, text

    def at(self, location: str) -> str:
        """The row's location and what is wrong with the row."""
        return f"{location}, `{self.column}`: {self.text}" if self.column else f"{location}: {self.text}"


class Record(NamedTuple):
    """A row of a file, good or bad."""

    location: str
    """Where the user finds it: "line 3" of JSONL, "row 3" of parquet, both counted from 1."""
    position: int
    """Counted from 0 over all rows; a blank line of JSONL is no row."""
    value: dict[str, Any] | BadRow


def unusable(path: Path, bad: list[str], total: int, hint: str, what: str = "rows") -> Mistake:
    """The error that names the first bad rows among `total`, and counts the others."""
    more = [f"and {len(bad) - LISTED} more"] if len(bad) > LISTED else []
    listed = "\n  ".join([*bad[:LISTED], *more])
    return Mistake(f"`{path}`: {len(bad)} of {total} {what} cannot be used\n  {listed}", hint)


def read(path: Path, columns: Collection[str] | None = None, picks: Collection[int] | None = None) -> Iterator[Record]:
    """The rows at the positions `picks` (None: all), in order; of parquet, only the `columns` it has (None: all)."""
    return _read_parquet(path, columns, picks) if is_parquet(path) else _read_jsonl(path, picks)


def count(path: Path) -> int:
    """Rows in the file, good and bad."""
    if is_parquet(path):
        with _open_parquet(path) as table:
            return table.metadata.num_rows
    with _open_lines(path) as file:
        return sum(1 for line in _lines(path, file) if line.strip())


def is_parquet(path: Path) -> bool:
    """Whether the file starts as parquet does; a Mistake when there is no such file."""
    try:
        with open(path, "rb") as file:
            parquet = file.read(len(PARQUET)) == PARQUET
    except (FileNotFoundError, IsADirectoryError):
        raise Mistake(f"no file `{path}`", "name one JSONL or parquet file") from None
    if path.suffix == ".parquet" and not parquet:
        raise Mistake(f"`{path}` is not a parquet file", "fetch it again; a git checkout needs `git lfs pull`")
    return parquet


def require_text(column: str, value: Any) -> str:
    """The value of a row's column, which must be a text that is not empty. Raises BadRow."""
    if not isinstance(value, str):
        raise BadRow(column, f"`{preview(value)}` is not text")
    if not value.strip():
        raise BadRow(column, f"`{preview(value)}` is empty")
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise BadRow(
            column, f"character {problem.start + 1} is half a surrogate pair, which is not valid text"
        ) from None
    return value


def preview(value: Any) -> str:
    """How an error shows a value: its JSON, of which a long one is cut."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 40 else text[:37] + "..."


def spread(total: int, take: int, seed: int) -> range | None:
    """`take` positions, evenly spaced over `total` rows; another seed gives other positions. None for all
    rows."""
    if total <= take:
        return None
    stride = total // take
    return range(seed % stride, stride * take, stride)


def _read_jsonl(path: Path, picks: Collection[int] | None) -> Iterator[Record]:
    position = -1
    with _open_lines(path) as file:
        for number, line in enumerate(_lines(path, file), 1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.strip():
                continue
            position += 1
            if picks is None or position in picks:
                yield Record(f"line {number}", position, _parse(line))


def _lines(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """The file's lines; a Mistake for one that no row is as long as: of gzip, a few bytes may stand for any length."""
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise Mistake(f"`{path}`: line {number} has more than {LONGEST >> 20} MB", "write each row on its own line")
        yield line


@contextmanager
def _open_lines(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked where it is in gzip."""
    with open(path, "rb") as file:
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        try:
            with gzip.open(file) if packed else file as lines:
                yield lines
        except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
            raise Mistake(f"`{path}` is not a whole gzip file: {problem}", "fetch it again") from None


def _parse(line: bytes) -> dict[str, Any] | BadRow:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as problem:
        return BadRow("", f"byte {problem.start + 1} (`0x{line[problem.start]:02x}`) is not UTF-8")
    except json.JSONDecodeError as problem:
        return BadRow("", f"is not JSON ({problem.msg} at character {problem.pos + 1})")
    except (ValueError, RecursionError):  # whole numbers of thousands of digits, lists in lists in lists
        return BadRow("", "has a number with thousands of digits, or a thousand levels of nested values")
    if not isinstance(value, dict):
        return BadRow("", "is not a JSON object")
    return value


def _read_parquet(path: Path, columns: Collection[str] | None, picks: Collection[int] | None) -> Iterator[Record]:
    with _open_parquet(path) as table:
        names = [name for name in table.schema_arrow.names if columns is None or name in columns]
        start = 0
        for batch in table.iter_batches(BATCH, columns=names):
            chosen = [index for index in range(batch.num_rows) if picks is None or start + index in picks]
            values = _values(batch if len(chosen) == batch.num_rows else batch.take(chosen))
            for index, value in zip(chosen, values, strict=True):
                yield Record(f"row {start + index + 1}", start + index, value)
            start += batch.num_rows


@contextmanager
def _open_parquet(path: Path) -> Iterator[Any]:
    """A pyarrow ParquetFile that reads page after page (by default it holds a whole row group)."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as table:
            yield table
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as problem:
        first = str(problem).splitlines()[0]
        raise Mistake(f"`{path}` is not a whole parquet file: {first}", "fetch or write it again") from problem


def _values(batch: Any) -> list[dict[str, Any] | BadRow]:
    try:
        return batch.to_pylist()
    except (UnicodeDecodeError, ValueError, OverflowError, KeyError) as problem:  # KeyError: pytz, of a zone
        if batch.num_rows > 1:
            return [value for index in range(batch.num_rows) for value in _values(batch.slice(index, 1))]
        if isinstance(problem, UnicodeDecodeError):
            return [BadRow("", "holds bytes that are not UTF-8")]
    return [BadRow("", "holds a time outside every calendar, or in an unknown time zone")]
