"""The launch commands of a run as the user typed them: a report shows them, and `doctor` proposes them again."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from launcher.runfolder.events import Tail
from launcher.runfolder.paths import RunFolder

FILE = "commands.jsonl"


@dataclass(frozen=True)
class Command:
    """`argv` begins with `launcher`; `time` is in seconds since the epoch."""

    time: float
    argv: tuple[str, ...]

    @property
    def text(self) -> str:
        """For a shell."""
        return shlex.join(self.argv)


def add_command(folder: RunFolder, arguments: Sequence[str], now: float) -> None:
    """Adds the command to the run folder. No secret is ever on a command line of ours."""
    with open(folder.path / FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps({"time": now, "words": ["launcher", *arguments]}, ensure_ascii=False) + "\n")


def commands(folder: RunFolder) -> list[Command]:
    """All commands, oldest first; empty for a run that was started without the launcher."""
    return [
        Command(float(entry.get("time") or 0), tuple(str(argument) for argument in entry["words"]))
        for entry in Tail(folder.path / FILE).new()
        if isinstance(entry.get("words"), list)
    ]


def last_launch(folder: RunFolder) -> str | None:
    """The last command that describes the whole run (not `--resume`), without `--redo STAGE`, which would repeat what
    is done; None when there is none."""
    whole = [argv for argv in (command.argv for command in commands(folder)) if not _resumes(argv)]
    return shlex.join(_without_redo(whole[-1])) if whole else None


def _resumes(argv: tuple[str, ...]) -> bool:
    return any(argument.startswith("--resume") for argument in argv)


def _without_redo(argv: tuple[str, ...]) -> list[str]:
    kept, skip = [], False
    for argument in argv:
        if skip:
            skip = False
        elif argument == "--redo":
            skip = True
        elif not argument.startswith("--redo="):
            kept.append(argument)
    return kept
