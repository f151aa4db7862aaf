"""Every path of a run folder, the interface between the laptop and the machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Below:
    """A field of a folder: the path with this name below it."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, folder: Any, _: type) -> Path:
        return Path(folder.path / self.name)


@dataclass(frozen=True)
class StageFolder:
    """`stages/<stage>`: the trainer's checkpoints (`work`), the result for later stages (`out`), the done record
    (`done`)."""

    path: Path
    work = Below("work")
    out = Below("out")
    config = Below("config.json")
    log = Below("log.txt")
    done = Below("done.json")
    attempts = Below("attempts")
    progress = Below("work/progress.jsonl")


@dataclass(frozen=True)
class RunFolder:
    """`<store>/<run>`; docs/concepts/run-folder.md says who writes which file."""

    path: Path
    plan = Below("plan.json")
    events = Below("events.jsonl")
    limits = Below("limits.json")
    manifest = Below("manifest.json")
    export = Below("export")
    inputs = Below("inputs")
    sources = Below("sources")
    lock = Below("node.lock")
    node_log = Below("node.log")

    def stage(self, name: str) -> StageFolder:
        return StageFolder(self.path / "stages" / name)
