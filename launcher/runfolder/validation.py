"""Lines of events.jsonl and progress.jsonl, and names of files, believed as far as they are what they should be. They
come from a machine that may be broken, or somebody else's: their readers rely on types, on sizes, on where names lead.
Pure."""

import math
from collections.abc import Callable, Mapping
from typing import Any

LARGEST = 1 << 53
"""Beyond it, whole numbers are no steps, times or bytes of ours."""

Test = Callable[[Any], bool]


def heard(line: Mapping[str, Any]) -> dict[str, Any] | None:
    """The line, without the metrics that are no numbers; None when a field that we know is not what it should be, or
    one that its event cannot be told without is missing."""
    for name, value in line.items():
        if name in FIELDS and not FIELDS[name](value):
            return None
    if any(name not in line for name in WITHOUT.get(str(line.get("event")), ())):
        return None
    if line.get("event") == "stage.checkpoint" and not inside(line["name"]):
        return None
    if line.get("metrics"):
        return {**line, "metrics": {name: value for name, value in line["metrics"].items() if number(value)}}
    return dict(line)


def number(value: object) -> bool:
    """Whether arithmetic may be done with it; NaN and infinity, which a training can report, are such numbers."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST)


def _text(value: object) -> bool:
    return isinstance(value, str)


def whole(value: object) -> bool:
    """Whether it counts something, or is None."""
    return value is None or (type(value) is int and 0 <= value <= LARGEST)


def moment(value: object) -> bool:
    """Seconds since the epoch, until the year 5138: what calendars can show."""
    return number(value) and 0 <= value < 1e11  # type: ignore[operator]


def _numbers(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(number(one) and math.isfinite(one) for one in value)


def _table(value: object) -> bool:
    return value is None or isinstance(value, dict)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def plain(name: object) -> bool:
    """Whether it names one file or folder, and could not be taken for an option."""
    return isinstance(name, str) and inside(name) and "/" not in name and not name.startswith("-")


def inside(name: object) -> bool:
    """Whether a relative path leads to a place below the folder that it is put to; `""` is the folder itself, and is
    not."""
    if not isinstance(name, str) or "\0" in name or any("\ud800" <= one <= "\udfff" for one in name):
        return False
    return all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in name.split("/"))


FIELDS: Mapping[str, Test] = {
    "time": moment,
    "event": _text,
    "stage": lambda value: value is None or isinstance(value, str),
    "kind": _text,
    "path": _text,
    "error": _text,
    "hint": _text,
    "reason": _text,
    "warning": _text,
    "name": _text,
    "checkpoint": inside,
    "step": whole,
    "steps": whole,
    "attempt": whole,
    "logged": whole,
    "code": whole,
    "metrics": _table,
    "total": number,
    "used": _numbers,
    "busy": _numbers,
    "paths": _texts,
    "words": _texts,
}
WITHOUT = {
    "run.warning": ("warning",),
    "run.ended": ("code",),
    "run.gpus": ("time", "name", "total", "used", "busy"),
    "stage.started": ("attempt",),
    "stage.checkpoint": ("name",),
    "stage.warning": ("warning",),
}
