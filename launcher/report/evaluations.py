"""Whatever an evaluation wrote, as tables: recipes have different ones, and none is known by name here. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from launcher.report.html import Html, pairs, table

MOST = 400
"""Rows of a table; what is longer is a file to be read with something else."""
NUMBERS = ("value", "mean", "score", "acc")
"""What a table calls its own number."""
EARLIER = ("before", "base")
"""Columns that come first: what the others are compared with."""


def tables(value: Any) -> list[Html]:
    """Tables of a JSON value: of columns with the same rows one with a column each; of a list of rows one; numbers
    side by side otherwise."""
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        names = tuple(dict.fromkeys(name for row in value for name in row))
        return [table(names, [tuple(value_text(row.get(name)) for name in names) for row in value[:MOST]])]
    if not isinstance(value, Mapping):
        return [pairs(("value", value_text(value)))] if value not in (None, []) else []
    plain = {name: inner for name, inner in value.items() if not isinstance(inner, Mapping | list)}
    inner = {name: inner for name, inner in value.items() if name not in plain and inner}
    tables_ = [pairs(*((str(name), value_text(cell)) for name, cell in plain.items()))] if plain else []
    if inner and all(isinstance(inner_, Mapping) for inner_ in inner.values()):
        return [*tables_, _side_by_side(inner)]
    return [*tables_, *(part_ for part in inner.values() for part_ in tables(part))]


def value_text(value: Any) -> str:
    """A number with its interval or error where it has one; lists and what is deeper in one line."""
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


def _side_by_side(value: Mapping[str, Mapping[str, Any]]) -> Html:
    """A column for each outer name and a row for each inner one, or for each number of it."""
    first = sorted(value.items(), key=lambda column: column[0] not in EARLIER)
    value = {name: dict(_numbers(column)) for name, column in first}
    rows = list(dict.fromkeys(name for column in value.values() for name in column))[:MOST]
    filled = [(str(row), *(value_text(column.get(row)) for column in value.values())) for row in rows]
    return table(("", *map(str, value)), filled)


def _numbers(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a cell can show; of a table without a number of its own, each of its cells under both names."""
    for name, inner in value.items():
        if isinstance(inner, Mapping) and not _own(inner):
            yield from ((f"{name} {inner}", cell) for inner, cell in inner.items())
        else:
            yield str(name), inner


def _own(value: Mapping[str, Any]) -> str | None:
    """The name of its number."""
    return next((name for name in NUMBERS if isinstance(value.get(name), int | float)), None)


def _measured(value: Mapping[str, Any], name: str) -> str:
    number = value_text(value[name])
    if isinstance(value.get("low"), int | float) and isinstance(value.get("high"), int | float):
        number += f" ({value_text(value['low'])} to {value_text(value['high'])})"
    elif isinstance(error := value.get("stderr", value.get("std")), int | float):
        number += f" ± {value_text(error)}"
    return f"{number} of {value['of']:,}" if isinstance(value.get("of"), int) else number
