"""The launch commands of a run as they were typed: who goes on with it, or tells how it was made, needs their words."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from launcher.runfolder.events import Tail
from launcher.runfolder.paths import RunFolder

FILE = "commands.jsonl"


@dataclass(frozen=True)
class Command:
    """`words` begin with `launcher`; `time` in seconds since the epoch."""

    time: float
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """For a shell."""
        return shlex.join(self.words)


def note(folder: RunFolder, words: Sequence[str], now: float) -> None:
    """The run folder remembers the command. No secret is ever on a command line of ours."""
    with open(folder.path / FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps({"time": now, "words": ["launcher", *words]}, ensure_ascii=False) + "\n")


def commands(folder: RunFolder) -> list[Command]:
    """All of them, oldest first; none of a run that was launched by hand."""
    return [
        Command(float(one.get("time") or 0), tuple(str(word) for word in one["words"]))
        for one in Tail(folder.path / FILE).new()
        if isinstance(one.get("words"), list)
    ]


def last_whole(folder: RunFolder) -> str | None:
    """The last command that tells all of the run, and does not go on with what is there; None when there is none."""
    whole = [one for one in commands(folder) if not any(word.startswith("--resume") for word in one.words)]
    return shlex.join(_again(whole[-1].words)) if whole else None


def _again(words: tuple[str, ...]) -> list[str]:
    """Without `--redo STAGE`, which would do again what is done."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word == "--redo":
            skip = True
        elif not word.startswith("--redo="):
            kept.append(word)
    return kept
