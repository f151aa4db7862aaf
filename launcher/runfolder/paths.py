"""Every path of a run folder, the interface between the laptop and the machine."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StageFolder:
    """`stages/<stage>`: the trainer's checkpoints (`work`), the result for later stages (`out`), the done record
    (`done`)."""

    path: Path

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def out(self) -> Path:
        return self.path / "out"

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def done(self) -> Path:
        return self.path / "done.json"

    @property
    def attempts(self) -> Path:
        return self.path / "attempts"

    @property
    def progress(self) -> Path:
        return self.work / "progress.jsonl"


@dataclass(frozen=True)
class RunFolder:
    """`<store>/<run>`; docs/concepts/run-folder.md says who writes which file."""

    path: Path

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def limits(self) -> Path:
        return self.path / "limits.json"

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def export(self) -> Path:
        return self.path / "export"

    @property
    def inputs(self) -> Path:
        return self.path / "inputs"

    @property
    def sources(self) -> Path:
        return self.path / "sources"

    @property
    def lock(self) -> Path:
        return self.path / "node.lock"

    @property
    def node_log(self) -> Path:
        return self.path / "node.log"

    def stage(self, name: str) -> StageFolder:
        return StageFolder(self.path / "stages" / name)
