"""Secrets that were left for a run in the machine's memory: taken into the environment once, and gone."""

import contextlib
import json
import os
from pathlib import Path

MEMORY = Path("/dev/shm")
"""A file system that is in no disk's image and ends with the machine (Linux)."""


def place(run: str) -> Path:
    """Where whoever starts a run leaves its secrets: a JSON object of names and values."""
    return MEMORY / f"launcher-{run}.secrets"


def take(run: str) -> None:
    """What was left is in the environment of this process, and nowhere else any more."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        text = place(run).read_text(encoding="utf-8")
        place(run).unlink()
        os.environ.update({str(name): str(value) for name, value in json.loads(text).items()})
