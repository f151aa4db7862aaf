"""When each attempt at a stage began and ended, from the events. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

ENDS = {"stage.finished": "done", "stage.failed": "failed", "stage.interrupted": "interrupted"}


@dataclass(frozen=True)
class Attempt:
    """`ended` is None while it runs; `lost` says that it ended without a word. `first` is its first step."""

    stage: str
    number: int
    started: float
    ended: float | None = None
    state: str = "running"
    first: int | None = None


def attempts(events: Iterable[Mapping[str, Any]], running: bool) -> list[Attempt]:
    """All of them in the order in which they began. One that was cut off ends with the last event about it."""
    found: list[Attempt] = []
    open_: dict[str, int] = {}
    last: dict[str, float] = {}
    for event in events:
        kind, name, time = event.get("event"), event.get("stage"), float(event.get("time") or 0)
        if kind == "run.started":
            _cut(found, open_, last)
        if not isinstance(name, str):
            continue
        last[name] = time
        if kind == "stage.started":
            _cut(found, {name: open_.pop(name)} if name in open_ else {}, last)
            open_[name] = len(found)
            found.append(Attempt(name, int(event.get("attempt") or 0), time))
        elif kind in ENDS and name in open_:
            at = open_.pop(name)
            found[at] = replace(found[at], ended=time, state=ENDS[kind])
        elif kind == "stage.progress" and name in open_ and found[open_[name]].first is None:
            found[open_[name]] = replace(found[open_[name]], first=event.get("step"))
    if not running:
        _cut(found, open_, last)
    return found


def _cut(found: list[Attempt], open_: dict[str, int], last: Mapping[str, float]) -> None:
    """What is open ended without a word."""
    for name, at in open_.items():
        found[at] = replace(found[at], ended=last.get(name, found[at].started), state="lost")
    open_.clear()
