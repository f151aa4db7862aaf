"""A trainer's checkpoints: the folders `checkpoint-N` in a work folder, complete once `complete.json` says so."""

from pathlib import Path

from recipes.common.stage.command import StageError
from recipes.common.stage.files import read_json, remove_unmarked, sync_tree, write_json

MARKER = "complete.json"


def complete(folder: Path, step: int) -> None:
    """All that is in the folder is on disk, and its marker after it: from now on it survives any kill."""
    sync_tree(folder)
    write_json(folder / MARKER, {"step": step})


def remove_incomplete(work: Path) -> None:
    """The folders that a kill left without a marker are gone."""
    remove_unmarked(_folders(work), MARKER)


def newest(work: Path) -> Path | None:
    """The complete checkpoint with the highest step."""
    by_step: dict[int, Path] = {}
    for folder in _folders(work):
        if marker := read_json(folder / MARKER):
            step = marker.get("step") if isinstance(marker, dict) else None
            if type(step) is not int:
                error = f"`{folder / MARKER}` is not the marker of a checkpoint"
                raise StageError(error, "delete the folder, or its marker")
            by_step[step] = folder
    return by_step[max(by_step)] if by_step else None


def _folders(work: Path) -> list[Path]:
    return sorted(path for path in work.glob("checkpoint-*") if path.is_dir())
