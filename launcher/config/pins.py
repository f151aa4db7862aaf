"""`recipes/<family>/pins.lock.json`: which commit each git ref and model revision stood for when it was locked."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from launcher.errors import LaunchError

COMMIT = re.compile(r"[0-9a-f]{40}")
MADE_HERE = "tiny"
"""A `repo` that is no repository: the recipe makes the model itself."""


@dataclass(frozen=True)
class Pins:
    """The lock file's two tables: `<git>@<ref>` -> commit, `<repo>@<revision>` -> commit."""

    sources: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)

    def source(self, git: str, ref: str) -> str | None:
        """The commit of a git ref; None when it is not locked."""
        return ref if COMMIT.fullmatch(ref) else self.sources.get(f"{git}@{ref}")

    def model(self, repo: str, revision: str) -> str | None:
        """The commit of a model's revision; None when it is not locked, or needs no lock (`is_local`)."""
        return revision if COMMIT.fullmatch(revision) else self.models.get(f"{repo}@{revision}")


def is_local(repo: str) -> bool:
    """Whether a model comes from no hub: made on the spot, or a folder."""
    return repo == MADE_HERE or repo.startswith((".", "/", "~"))


def read_pins(path: Path) -> Pins:
    """The lock file's pins; none when there is no file. Raises LaunchError when it is damaged."""
    if not path.exists():
        return Pins()
    try:
        pins = Pins(**json.loads(path.read_text(encoding="utf-8")))
        whole = all(COMMIT.fullmatch(commit) for commit in {**pins.sources, **pins.models}.values())
    except (ValueError, TypeError):
        whole = False
    if not whole:
        raise LaunchError(f"`{path}` is not a lock file", "delete it and run `launcher lock`")
    return pins


def write_pins(path: Path, pins: Pins) -> None:
    """The lock file holds `pins`: the same pins, the same bytes."""
    text = json.dumps({"models": pins.models, "sources": pins.sources}, indent=2, sort_keys=True) + "\n"
    path.write_text(text, encoding="utf-8")
