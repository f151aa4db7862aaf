"""A folder that is either whole or absent."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recipes.common.stage.command import Mistake, StageError
from recipes.common.stage.files import sync_folder


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yields an empty folder that is `target`, on disk, once the block has ended, and is gone when the block fails.

    A process that is killed leaves a hidden folder beside `target`; the next one removes it. An existing `target` must
    be an empty folder.
    """
    target = target.resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise Mistake(f"`{target}` exists and is not an empty folder", "name a new folder, or remove this one")
    part = target.with_name(f".{target.name}.part")
    try:
        if part.exists():
            shutil.rmtree(part)
        part.mkdir(parents=True)
        yield part
        _sync(part)
        part.rename(target)
        sync_folder(target.parent)
    except OSError as problem:
        raise StageError(
            f"`{problem.filename or target}`: {problem.strerror or problem}",
            "name a folder on a disk that has room and that you may write to",
        ) from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    for path in (folder, *folder.rglob("*/")):
        sync_folder(path)
