"""Files that are either whole or absent."""

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """The file holds `value` as JSON, on disk, or what it held before; never a part of it."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """The file holds `text` in UTF-8, on disk, or what it held before; never a part of it."""
    part = path.with_name(f".{path.name}.part")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    sync_folder(path.parent)


def read_json(path: Path) -> Any:
    """The file's value, or None when it is absent or torn (not JSON, or nested too deeply to be read)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def sync_folder(folder: Path) -> None:
    """The folder's entries (renames, new names) survive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
