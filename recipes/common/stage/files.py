"""Files and folders that are either whole or absent."""

import errno
import fcntl
import functools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
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
    """The file's value, or None when it is absent or torn (not JSON, or nested too deeply to be read). StageError when
    it is there and cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    except OSError as problem:
        raise unreadable(path, problem) from problem


def unreadable(path: Path, problem: OSError) -> StageError:
    """Why the file or folder cannot be read."""
    return StageError(
        f"`{path}`: {problem.strerror or problem}",
        f"ask its owner, or give yourself the right to read it: `chmod u+r {path}`"
        if isinstance(problem, PermissionError)
        else "copy it again, from where it can be read",
    )


def copy_files(source: Path, target: Path, ignored: Callable[[str, list[str]], set[str]]) -> None:
    """The folder `target` has the files of `source` too, but those that are ignored: as `shutil.copytree`, whose
    `ignore_patterns` gives such a function. StageError for what is no file: a link to nothing, a pipe, or a file that
    may not be read."""
    if not source.is_dir():
        return
    for folder, folders, names in os.walk(source, followlinks=True, onerror=_raise_unreadable):
        left_out = ignored(folder, [*folders, *names])
        if target.name in {*folders} - left_out and target.samefile(Path(folder) / target.name):
            raise Mistake(f"`{folder}` is copied, and the new folder lies in it", "name a folder elsewhere")
        folders[:] = [name for name in folders if name not in left_out]
        for name in sorted({*names} - left_out):
            path = Path(folder) / name
            if not path.is_file():
                what = f"a link to `{os.readlink(path)}`, which is not there" if path.is_symlink() else "not a file"
                raise StageError(f"`{path}`: {what}", "copy it again, or remove it if the model does not need it")
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(path, copy)
            except PermissionError as problem:
                raise unreadable(path, problem) from problem


def _raise_unreadable(problem: OSError) -> None:
    raise unreadable(Path(problem.filename), problem) from problem


def remove_unmarked(folders: Iterable[Path], marker: str) -> None:
    """The folders whose `marker` is absent or torn are gone, because a kill left them incomplete; each is printed."""
    for folder in folders:
        if not read_json(folder / marker):
            print(f"removed {folder}: it was interrupted while it was written", flush=True)
            shutil.rmtree(folder)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yields an empty folder that is `target`, on disk, once the block has ended, and is gone when the block fails.

    One process at a time makes it. A process that is killed leaves a hidden folder and a hidden file beside `target`;
    the next one removes them. An existing `target` must be an empty folder.
    """
    target = target.resolve()
    if not target.name:
        raise Mistake(f"`{target}` cannot be made: it is the root of the disk", "name a new folder")
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target):
            if target.exists() and not (target.is_dir() and not any(target.iterdir())):
                raise Mistake(f"`{target}` exists and is not an empty folder", "name a new folder, or remove this one")
            try:
                if part.exists():
                    shutil.rmtree(part)
                part.mkdir()
                yield part
                sync_tree(part)
                part.rename(target)
                sync(target.parent)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except OSError as problem:
        raise StageError(
            f"`{problem.filename or target}`: {problem.strerror or problem}",
            "name a folder on a disk that has room and that you may write to",
        ) from problem


UNLOCKED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of a file system that has no locks, as Lustre without its option `flock`."""


@contextmanager
def _lock(target: Path) -> Iterator[None]:
    """No other process is in this block for the same `target`. StageError when one is. The lock is on a file beside
    `target` and ends with the process, however that ends; the file is removed by whoever holds the lock."""
    file = target.with_name(f".{target.name}.lock")
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_file(handle, file):
                break
        except BlockingIOError:
            os.close(handle)
            raise StageError(
                f"`{target}`: another process is writing it",
                "wait until it has ended, or name another folder",
            ) from None
        except OSError as problem:
            if problem.errno not in UNLOCKED:
                os.close(handle)
                raise
            _say_without_locks(target.parent)
            break
        os.close(handle)  # the process that held the lock has removed the file meanwhile
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(handle)


@functools.cache
def _say_without_locks(folder: Path) -> None:
    print(f"{folder}: its file system has no locks: let no other process write there", file=sys.stderr, flush=True)


def _is_file(handle: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


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
