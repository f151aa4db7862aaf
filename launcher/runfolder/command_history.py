"""The launch commands of a run as the user typed them: a report shows them, and `doctor` proposes them again."""

import json
import shlex
from collections.abc import Sequence

from launcher.runfolder.events import Tail
from launcher.runfolder.paths import RunFolder

FILE = "commands.jsonl"


def add_command(folder: RunFolder, arguments: Sequence[str], now: float) -> None:
    """Adds the command to the run folder. No secret is ever on a command line of ours."""
    with open(folder.path / FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps({"time": now, "words": ["launcher", *arguments]}, ensure_ascii=False) + "\n")


def commands(folder: RunFolder) -> list[list[str]]:
    """The arguments of all commands, oldest first, each from `launcher` on; empty for a run that was started without
    the launcher."""
    return [list(entry["words"]) for entry in Tail(folder.path / FILE).new() if entry.get("words")]


def last_launch(folder: RunFolder) -> str | None:
    """The last command that describes the whole run (not `--resume`), without `--redo STAGE`, which would repeat what
    is done; None when there is none."""
    whole = [argv for argv in commands(folder) if not any(argument.startswith("--resume") for argument in argv)]
    return shlex.join(_without_redo(whole[-1])) if whole else None


def _without_redo(argv: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for argument in argv:
        if skip:
            skip = False
        elif argument == "--redo":
            skip = True
        elif not argument.startswith("--redo="):
            kept.append(argument)
    return kept
