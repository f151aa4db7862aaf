"""One file that becomes another's copy, or its second name: believed only when its sha256 is the wanted one."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from launcher.runfolder.files import UNSHARED, sync_folder

BLOCK = 4 << 20
SHARED = 64 << 20
"""Bytes from which on a file gets a second name instead of a copy. A checkpoint's shards are that large; what people
edit in place, a `config.json`, is not."""


def brought(source: Path, target: Path, moved: Callable[[int], None], wanted: str) -> str:
    """`target` is on disk and has the bytes of `source`, if the sha256 that was found and is returned is the `wanted`
    one. A large file gets a second name, where the file system can, and cannot be written to any more: whoever
    changed one would change both. `moved` hears of bytes. Raises OSError."""
    if source.stat().st_size >= SHARED:
        try:
            return _named(source, target, moved, wanted)
        except OSError as problem:
            if problem.errno not in UNSHARED:
                raise
    return copy(source, target, moved, wanted)


def copy(source: Path, target: Path, moved: Callable[[int], None], wanted: str, lasting: bool = True) -> str:
    """As `brought`, for a copy of its own, which goes on where an earlier one broke off. One that is not `lasting` may
    be gone after a power failure: its reader looks at its sha256."""
    part = _part(target)
    resumed = part.stat().st_size if part.exists() else 0
    with open(source, "rb") as read, open(part, "a+b") as write:
        write.seek(0)
        hash = hashlib.sha256()
        while block := write.read(BLOCK):
            hash.update(block)
        read.seek(resumed)
        moved(resumed)
        while block := read.read(BLOCK):
            write.write(block)
            hash.update(block)
            moved(len(block))
        if lasting:
            write.flush()
            os.fsync(write.fileno())
    found = hash.hexdigest()
    if found != wanted:
        part.unlink()
        # what lay there before may have been of another file
        return copy(source, target, lambda _: None, wanted, lasting) if resumed else found
    _take_place(part, target)
    return found


def _named(source: Path, target: Path, moved: Callable[[int], None], wanted: str) -> str:
    part, hash = _part(target), hashlib.sha256()
    part.unlink(missing_ok=True)
    os.link(os.path.realpath(source), part)
    with open(part, "rb") as file:
        os.fsync(file.fileno())
        while block := file.read(BLOCK):
            hash.update(block)
            moved(len(block))
    if (found := hash.hexdigest()) == wanted:
        part.chmod(part.stat().st_mode & ~0o222)
        _take_place(part, target)
    part.unlink(missing_ok=True)  # a second name does not take the place of the first
    return found


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _take_place(part: Path, target: Path) -> None:
    os.replace(part, target)
    sync_folder(target.parent)
