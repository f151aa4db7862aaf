"""The results of evaluations as tables. Recipes have different ones, and none is known by name here. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MOST = 400
"""The most rows of a table; a longer file is for another program."""
ROUNDING = 1e-12
"""A lower end that is so much smaller than the upper one is 0, computed with rounding."""
NUMBERS = ("value", "mean", "score", "acc")
"""Names that a table uses for its own number."""
EARLIER = ("before", "base")
"""Columns that come first: the others are compared with them."""


class Table(NamedTuple):
    """`head` is empty for rows of a name and a value."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(value: Any) -> list[Table]:
    """Tables of a JSON value: one for columns with the same rows, one for a list of rows; else names and values."""
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        names = tuple(dict.fromkeys(name for row in value for name in row))
        return [Table(names, [tuple(value_text(row.get(name)) for name in names) for row in value[:MOST]])]
    if not isinstance(value, Mapping):
        return [Table((), [("value", value_text(value))])] if value not in (None, []) else []
    plain = {name: cell for name, cell in value.items() if not isinstance(cell, Mapping | list)}
    inner = {name: part for name, part in value.items() if name not in plain and part}
    beside = [Table((), [(str(name), value_text(cell)) for name, cell in plain.items()])] if plain else []
    if inner and all(isinstance(part, Mapping) for part in inner.values()):
        return [*beside, _side_by_side(inner)]
    return [*beside, *(table for part in inner.values() for table in tables(part))]


def value_text(value: Any) -> str:
    """A number with its interval or error, if it has one; lists and deeper values in one line."""
    if isinstance(value, Mapping):
        if name := _own(value):
            return _measured(value, name)
        return " ".join(f"{name}={value_text(item)}" for name, item in value.items())
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(value_text(item) for item in value)
    return str(value)


def _side_by_side(value: Mapping[str, Mapping[str, Any]]) -> Table:
    """A column for each outer name, and a row for each inner name, or for each number of it."""
    first = sorted(value.items(), key=lambda column: column[0] not in EARLIER)
    columns = {str(name): dict(_numbers(column)) for name, column in first}
    rows = list(dict.fromkeys(name for column in columns.values() for name in column))[:MOST]
    cells = [(str(row), *(value_text(column.get(row)) for column in columns.values())) for row in rows]
    return Table(("", *columns), cells)


def _numbers(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a cell can show; of a table without a number of its own, each of its cells under both names."""
    for name, inner in value.items():
        if isinstance(inner, Mapping) and not _own(inner):
            yield from ((f"{name} {part}", cell) for part, cell in inner.items())
        else:
            yield str(name), inner


def _own(value: Mapping[str, Any]) -> str | None:
    """The name of its number."""
    return next((name for name in NUMBERS if isinstance(value.get(name), int | float)), None)


def _measured(value: Mapping[str, Any], name: str) -> str:
    number = value_text(value[name])
    low, high = value.get("low"), value.get("high")
    if isinstance(low, int | float) and isinstance(high, int | float):
        low = 0 if abs(low) < ROUNDING * abs(high) else low
        number += f" ({value_text(low)} to {value_text(high)})"
    elif isinstance(error := value.get("stderr", value.get("std")), int | float):
        number += f" ± {value_text(error)}"
    return f"{number} of {value['of']:,}" if isinstance(value.get("of"), int) else number
