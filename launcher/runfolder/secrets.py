"""The hand-over of secrets through the machine's memory: the node program reads them once and deletes them."""

import contextlib
import json
import os
from pathlib import Path

MEMORY = Path("/dev/shm")
"""A file system that is in no disk's image and ends with the machine (Linux)."""


def secrets_path(run: str) -> Path:
    """The file in memory with a run's secrets, a JSON object of names and values. The launcher writes it."""
    return MEMORY / f"launcher-{run}.secrets"


def load_secrets(run: str) -> None:
    """Moves the secrets from the file to the environment of this process."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # a run may have no secrets
        text = secrets_path(run).read_text(encoding="utf-8")
        secrets_path(run).unlink()
        os.environ.update({str(name): str(value) for name, value in json.loads(text).items()})
