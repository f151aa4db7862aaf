"""A trainer's checkpoints: the folders `checkpoint-N` in a work folder, complete once `complete.json` says so."""

import shutil
from pathlib import Path

from recipes.common.stage.command import StageError
from recipes.common.stage.files import read_json, sync_tree, write_json

MARKER = "complete.json"


def complete(folder: Path, step: int) -> None:
    """All that is in the folder is on disk, and its marker after it: from now on it survives any kill."""
    sync_tree(folder)
    write_json(folder / MARKER, {"step": step})


def newest(work: Path) -> Path | None:
    """The complete checkpoint with the highest step. Folders that a kill left without a marker are removed."""
    by_step: dict[int, Path] = {}
    for folder in work.glob("checkpoint-*"):
        marker = read_json(folder / MARKER)
        if marker:
            step = marker.get("step") if isinstance(marker, dict) else None
            if type(step) is not int:
                error = f"`{folder / MARKER}` is not the marker of a checkpoint"
                raise StageError(error, "delete the folder, or its marker")
            by_step[step] = folder
        else:
            print(f"removed {folder}: it was interrupted while it was written", flush=True)
            shutil.rmtree(folder)
    return by_step[max(by_step)] if by_step else None
