"""Reads rows; an error names the file, the row and the column that cannot be used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from recipes.common.data import rows
from recipes.common.data.rows import BadRow, preview, require_text
from recipes.common.stage.command import Mistake

Item = TypeVar("Item")


def read_all(path: Path, columns: tuple[str, ...], make: Callable[[dict[str, Any], int], Item]) -> list[Item]:
    """What `make` makes of each row and its position; it raises BadRow. A Mistake names the bad rows of the file."""
    items, bad, total = [], [], 0
    for location, position, value in rows.read(path, columns):
        total += 1
        try:
            if isinstance(value, BadRow):
                raise value
            items.append(make(value, position))
        except BadRow as fault:
            bad.append(fault.at(location))
    if bad:
        raise rows.unusable(path, bad, total, "correct these rows, or leave them out")
    if not items:
        raise Mistake(f"`{path}` has no rows", "write one JSON object a line, or give a parquet file with rows")
    return items


def text(row: dict[str, Any], column: str) -> str:
    """The column's text, which is not empty."""
    return require_text(column, _value(row, column))


def flag(row: dict[str, Any], column: str) -> bool:
    """The column's true or false."""
    value = _value(row, column)
    if not isinstance(value, bool):
        raise BadRow(column, f"`{preview(value)}` is not true or false")
    return value


def choice(row: dict[str, Any], column: str, count: int) -> int:
    """The column's whole number, from 0 to `count` - 1."""
    value = _value(row, column)
    if type(value) is not int:
        raise BadRow(column, f"`{preview(value)}` is not a whole number")
    if not 0 <= value < count:
        raise BadRow(column, f"`{value}` is not from 0 to {count - 1}")
    return value


def text_list(row: dict[str, Any], column: str, count: int) -> list[str]:
    """The column's list of `count` texts, none of them empty."""
    value = _value(row, column)
    if not isinstance(value, list):
        raise BadRow(column, f"`{preview(value)}` is not a list")
    if len(value) != count:
        raise BadRow(column, f"has {len(value)} entries, not {count}")
    return [require_text(f"{column}[{index}]", entry) for index, entry in enumerate(value)]


def _value(row: dict[str, Any], column: str) -> Any:
    if column not in row:
        raise BadRow("", f"no column `{column}`")
    return row[column]
