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
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        names = tuple(dict.fromkeys(name for one in value for name in one))
        return [table(names, [tuple(shown(one.get(name)) for name in names) for one in value[:MOST]])]
    if not isinstance(value, Mapping):
        return [pairs(("value", shown(value)))] if value not in (None, []) else []
    plain = {name: one for name, one in value.items() if not isinstance(one, Mapping | list)}
    inner = {name: one for name, one in value.items() if name not in plain and one}
    found = [pairs(*((str(name), shown(one)) for name, one in plain.items()))] if plain else []
    if inner and all(isinstance(one, Mapping) for one in inner.values()):
        return [*found, _side_by_side(inner)]
    return [*found, *(one for part in inner.values() for one in tables(part))]


def shown(value: Any) -> str:
    """A number with its interval or error where it has one; lists and what is deeper in one line."""
    if isinstance(value, Mapping):
        if name := _own(value):
            return _measured(value, name)
        return " ".join(f"{name}={shown(one)}" for name, one in value.items())
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(one) for one in value)
    return str(value)


def _side_by_side(value: Mapping[str, Mapping[str, Any]]) -> Html:
    """A column for each outer name and a row for each inner one, or for each number of it."""
    first = sorted(value.items(), key=lambda one: one[0] not in EARLIER)
    value = {name: dict(_numbers(one)) for name, one in first}
    rows = list(dict.fromkeys(name for one in value.values() for name in one))[:MOST]
    filled = [(str(row), *(shown(one.get(row)) for one in value.values())) for row in rows]
    return table(("", *map(str, value)), filled)


def _numbers(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a cell can show; of a table without a number of its own, each of its cells under both names."""
    for name, one in value.items():
        if isinstance(one, Mapping) and not _own(one):
            yield from ((f"{name} {inner}", cell) for inner, cell in one.items())
        else:
            yield str(name), one


def _own(value: Mapping[str, Any]) -> str | None:
    """The name of its number."""
    return next((name for name in NUMBERS if isinstance(value.get(name), int | float)), None)


def _measured(value: Mapping[str, Any], name: str) -> str:
    number = shown(value[name])
    if isinstance(value.get("low"), int | float) and isinstance(value.get("high"), int | float):
        number += f" ({shown(value['low'])} to {shown(value['high'])})"
    elif isinstance(error := value.get("stderr", value.get("std")), int | float):
        number += f" ± {shown(error)}"
    return f"{number} of {value['of']:,}" if isinstance(value.get("of"), int) else number
