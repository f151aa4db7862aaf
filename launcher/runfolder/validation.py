"""Checks of lines of events.jsonl and progress.jsonl, and of file names. They come from a machine that may be broken,
or that somebody else controls, and their readers rely on types, sizes and paths. Pure."""

import math
from collections.abc import Callable, Mapping
from typing import Any

LARGEST = 1 << 53
"""No step, time or number of bytes of ours is larger."""

Test = Callable[[Any], bool]


def valid_line(line: Mapping[str, Any]) -> dict[str, Any] | None:
    """The line without the metrics that are no numbers; None if a known field has the wrong type, or if a field that
    this event must have is missing."""
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
    """Whether it is a number to calculate with; NaN and infinity, which a training can report, are such numbers."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST)


def _text(value: object) -> bool:
    return isinstance(value, str)


def whole(value: object) -> bool:
    """Whether it is a count, or None."""
    return value is None or (type(value) is int and 0 <= value <= LARGEST)


def moment(value: object) -> bool:
    """Whether it is a time in seconds since the epoch, up to the year 5138."""
    return number(value) and 0 <= value < 1e11  # type: ignore[operator]


def _numbers(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(number(item) and math.isfinite(item) for item in value)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def plain(name: object) -> bool:
    """Whether it is the name of one file or folder, and does not look like an option."""
    return isinstance(name, str) and inside(name) and "/" not in name and not name.startswith("-")


def inside(name: object) -> bool:
    """Whether a relative path stays below its folder; `""`, the folder itself, does not."""
    if not isinstance(name, str) or "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
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
    "metrics": lambda value: value is None or isinstance(value, dict),
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
