"""Files and folders that are either whole or absent."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from recipes.common.stage.command import Mistake, StageError


def write_json(path: Path, value: Any) -> None:
    """The file holds `value` as JSON, on disk, or what it held before; never a part of it."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """The file holds `text` in UTF-8, on disk, or what it held before; never a part of it."""
    with whole_file(path) as file:
        file.write(text.encode())


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Yields a file whose bytes `path` holds, on disk, once the block has ended. When the block fails, `path` is as it
    was."""
    part = path.with_name(f".{path.name}.part")
    with open(part, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    sync(path.parent)


def link_or_copy(source: Path | str, target: Path | str) -> None:
    """`target` is a hard link to `source`, or a copy on another file system, whatever was there before."""
    source, target = Path(source), Path(target)
    part = target.with_name(".link.part")  # whatever the length of the target's name
    part.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), part)
    except OSError:
        shutil.copyfile(source, part)
    # Renaming one of two links to the same file onto the other would do nothing at all.
    target.unlink(missing_ok=True)
    part.rename(target)


def read_json(path: Path) -> Any:
    """The file's value, or None when it is absent or torn (not JSON, or nested too deeply to be read)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def remove_unmarked(folders: Iterable[Path], marker: str) -> None:
    """The folders whose `marker` is absent or torn are gone, because a kill left them incomplete; each is printed."""
    for folder in folders:
        if not read_json(folder / marker):
            print(f"removed {folder}: it was interrupted while it was written", flush=True)
            shutil.rmtree(folder)


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
        sync_tree(part)
        part.rename(target)
        sync(target.parent)
    except OSError as problem:
        raise StageError(
            f"`{problem.filename or target}`: {problem.strerror or problem}",
            "name a folder on a disk that has room and that you may write to",
        ) from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sync_tree(folder: Path) -> None:
    """All that is in the folder is on disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            sync(path)
    for path in (folder, *folder.rglob("*/")):
        sync(path)


def sync(path: Path) -> None:
    """The file's bytes, or the folder's entries (renames, new names), survive a crash of the machine."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
