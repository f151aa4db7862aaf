"""Files that are complete or absent, folders that appear at once, and hashes of their contents."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LONGEST = 64 << 20
"""The most bytes of a JSON file; the longest of ours lists the files of an export."""
UNSHARED = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK)
"""Errors of a file system that cannot give a file a second name."""


def write_json(path: Path, value: Any) -> None:
    """Writes the value as `write_text` does."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes the text to the disk: afterwards `path` has all of it, or is what it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    sync_folder(path.parent)


def read_json(path: Path) -> Any:
    """The file's value; None if it is missing or damaged: both mean "not yet". A file that is too long or too deep to
    be one of ours counts as damaged."""
    try:
        with open(path, "rb") as file:
            data = file.read(LONGEST + 1)
        return json.loads(data.decode()) if len(data) <= LONGEST else None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None


def sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        hash = hashlib.sha256()
        while block := file.read(1 << 20):
            hash.update(block)
    return hash.hexdigest()


def tree(folder: Path) -> dict[str, int]:
    """Relative name -> size in bytes of every regular file below `folder`, sorted."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return dict(sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in files))


def link_folder(source: Path, target: Path) -> None:
    """Makes `target` a copy of `source`, which shares its bytes on disk where the file system allows it."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for name in tree(source):
        copy = part / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(os.path.realpath(source / name), copy)
        except OSError as problem:
            if problem.errno not in UNSHARED:
                raise
            shutil.copyfile(source / name, copy)
    part.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)
    sync_folder(target.parent)


KINDS = {".py", ".json"}
NOT_CODE = {"pins.lock.json"}


def tree_hash(root: Path, folders: Iterable[str]) -> str:
    """sha256 over the names and contents of the code files below `root`'s `folders`. The plan has it, and the node
    program compares."""
    whole = hashlib.sha256()
    for folder in sorted(folders):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in KINDS and path.name not in NOT_CODE and path.is_file():
                name = path.relative_to(root).as_posix()
                whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
