"""Data up, results home: copies that resume where they broke off and are believed only after their sha256 agrees."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from launcher.errors import FAILED, LaunchError
from launcher.runfolder.files import UNSHARED, read_json, sha256, sync_folder
from launcher.runfolder.manifest import read, wrong
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan

AT_ONCE = 4
"""Files of an export that are copied, and their sha256 computed, at the same time."""
BLOCK = 4 << 20
SHARED = 64 << 20
"""Bytes from which on a file gets a second name instead of a copy. A checkpoint's shards are that large; what people
edit in place, a `config.json`, is not."""


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """No other launcher here is in such a block of the folder meanwhile; one that dies lets the next in."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def push(plan: Plan, folder: RunFolder) -> None:
    """Every input of the plan lies in the run folder, byte for byte. Raises LaunchError when one changed meanwhile."""
    folder.inputs.mkdir(parents=True, exist_ok=True)
    for one in plan.inputs.values():
        target = folder.inputs / one.file
        if target.is_file() and target.stat().st_size == one.bytes and sha256(target) == one.sha256:
            continue
        given = Path(one.path)
        if not given.is_file() or copy(given, target, lambda _: None, one.sha256, lasting=False) != one.sha256:
            raise LaunchError(f"`{one.path}` changed while it was sent", "launch again")


def pull(source: RunFolder, home: RunFolder, moved: Callable[[int], None]) -> dict[str, Any]:
    """`home/export` is the run's export, each file's sha256 as the manifest says; the manifest, which is copied last,
    is returned. A pull that was cut off goes on. `moved` hears of bytes. Raises LaunchError with exit code 3."""
    manifest, before = read_manifest(source), read(home.manifest)
    given_up = threading.Event()

    def heard(size: int) -> None:
        if given_up.is_set():
            raise InterruptedError
        moved(size)

    with ThreadPoolExecutor(AT_ONCE) as pool:  # sha256, reading and writing hold no interpreter lock
        copies = [pool.submit(_pull_file, source, home, name, one, heard) for name, one in manifest["export"].items()]
        try:
            for copied in copies:
                copied.result()
        except BaseException:
            given_up.set()
            pool.shutdown(cancel_futures=True)
            raise
    for name in before["export"] if before else ():
        if name not in manifest["export"]:  # an earlier export brought it, this one does not have it
            (home.export / name).unlink(missing_ok=True)
    for path in (source.plan, source.events, source.manifest):
        if path == source.events and not path.exists():
            continue  # somebody removed it: nothing of the result is in there
        shutil.copyfile(path, part := home.path / f".{path.name}.part")
        os.replace(part, home.path / path.name)
    return manifest


def faults(home: RunFolder, every_byte: bool) -> list[str]:
    """A sentence for each file of `home/export` that is not as the manifest says; empty when all are."""
    found = []
    for name, wanted in read_manifest(home)["export"].items():
        path = home.export / name
        if not path.is_file():
            found.append(f"`{path}` is gone")
        elif path.stat().st_size != wanted["bytes"]:
            found.append(f"`{path}` has {path.stat().st_size:,} bytes, the manifest says {wanted['bytes']:,}")
        elif every_byte and sha256(path) != wanted["sha256"]:
            found.append(f"`{path}` was changed: its sha256 is not the manifest's")
    return found


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """The folder's manifest. Raises LaunchError when the run is not finished, or the manifest is not one of ours."""
    manifest = read_json(folder.manifest)
    if not isinstance(manifest, dict):
        raise LaunchError(
            f"`{folder.path}` has no manifest: the run is not finished", "`launcher status` shows how far it is"
        )
    if why := wrong(manifest):
        raise LaunchError(
            f"`{folder.manifest}`: {why}", "nothing was copied: do not trust the machine that wrote it", FAILED
        )
    return manifest


def _pull_file(
    source: RunFolder, home: RunFolder, name: str, wanted: Mapping[str, Any], moved: Callable[[int], None]
) -> None:
    target = home.export / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file() and target.stat().st_size == wanted["bytes"] and sha256(target) == wanted["sha256"]:
        moved(wanted["bytes"])
        return
    if not (source.export / name).is_file():
        raise LaunchError(f"`{source.export / name}` is gone", "launch again: the export is made again", FAILED)
    found = brought(source.export / name, target, moved, wanted["sha256"])
    if found != wanted["sha256"]:
        raise LaunchError(
            f"`{source.export / name}` is not what its run exported: its sha256 is {found[:12]}…, "
            f"the manifest says {wanted['sha256'][:12]}…",
            "`--redo` the stage that makes it",
            FAILED,
        )


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
