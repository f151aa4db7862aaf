"""Copies inputs to a run folder and exports from it. A copy continues where it was cut off, and is compared by
sha256."""

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
from launcher.runfolder.files import UNSHARED, read_json, sha256, sync_folder, write_json
from launcher.runfolder.manifest import read
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.verify import check_model, demand_own_weights, read_manifest

BEGUN = ".pull.json"
"""The names of the files of a pull that is not finished, and of those before it. What the next manifest does not name
goes."""
AT_ONCE = 4
"""Files of an export that are copied, and their sha256 computed, at the same time."""
BLOCK = 4 << 20
SHARED = 64 << 20
"""A file of so many bytes gets a second name instead of a copy. The shards of a checkpoint are that large; a file that
people edit in place, such as `config.json`, is not."""


@contextlib.contextmanager
def folder_lock(folder: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Lets one launcher at a time into the block, for each folder; `say` is told when it waits for another one. The
    lock ends with its process."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting   another launcher writes {folder}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def push(plan: Plan, folder: RunFolder) -> None:
    """Copies every input of the plan to the run folder. Raises LaunchError if one has changed since it was planned."""
    folder.inputs.mkdir(parents=True, exist_ok=True)
    for data in plan.inputs.values():
        target = folder.inputs / data.file
        if target.is_file() and target.stat().st_size == data.bytes and sha256(target) == data.sha256:
            continue
        source = Path(data.path)
        if not source.is_file() or copy(source, target, lambda _: None, data.sha256, lasting=False) != data.sha256:
            raise LaunchError(f"`{data.path}` changed while it was sent", "launch again")


def pull(source: RunFolder, local: RunFolder, moved: Callable[[int], None]) -> dict[str, Any]:
    """Copies the export to `local/export`, compares each sha256 with the manifest, and checks that a program can load
    the model. The manifest is copied last, and returned: without it the run is not finished here. A pull that was cut
    off continues. `moved` gets numbers of bytes. Raises LaunchError, exit code 3."""
    manifest, before, begun = read_manifest(source), read(local.manifest), local.path / BEGUN
    earlier = {*(before["export"] if before else ()), *_begun(begun)}
    local.path.mkdir(parents=True, exist_ok=True)
    write_json(begun, sorted({*earlier, *manifest["export"]}))
    stopped = threading.Event()

    def count(size: int) -> None:
        if stopped.is_set():
            raise InterruptedError
        moved(size)

    with ThreadPoolExecutor(AT_ONCE) as pool:  # sha256, reading and writing hold no interpreter lock
        copies = [
            pool.submit(_pull_file, source, local, name, facts, count) for name, facts in manifest["export"].items()
        ]
        try:
            for copied in copies:
                copied.result()
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
    for name in earlier - manifest["export"].keys():
        (local.export / name).unlink(missing_ok=True)
    demand_own_weights(local, manifest)
    check_model(local.export)
    for path in (source.plan, source.events, source.manifest):
        if path == source.events and not path.exists():
            continue  # somebody deleted it; the export does not need it
        shutil.copyfile(path, part := local.path / f".{path.name}.part")
        os.replace(part, local.path / path.name)
    begun.unlink()
    return manifest


def _begun(file: Path) -> list[str]:
    """The files of exports that an unfinished pull has begun to copy."""
    names = read_json(file)
    return names if isinstance(names, list) else []


def _pull_file(
    source: RunFolder, local: RunFolder, name: str, facts: Mapping[str, Any], moved: Callable[[int], None]
) -> None:
    target = local.export / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file() and target.stat().st_size == facts["bytes"] and sha256(target) == facts["sha256"]:
        moved(facts["bytes"])
        return
    if not (source.export / name).is_file():
        raise LaunchError(f"`{source.export / name}` is gone", "launch again: the export is made again", FAILED)
    hash = link_or_copy(source.export / name, target, moved, facts["sha256"])
    if hash != facts["sha256"]:
        raise LaunchError(
            f"`{source.export / name}` is not what its run exported: its sha256 is {hash[:12]}…, "
            f"the manifest says {facts['sha256'][:12]}…",
            "`--redo` the stage that makes it",
            FAILED,
        )


def link_or_copy(source: Path, target: Path, moved: Callable[[int], None], expected: str) -> str:
    """Makes `target` from `source` if the sha256 of `source`, which is returned, is the `expected` one. A large file
    gets a second name where the file system allows it, and becomes read-only, because a change of one would change
    both. `moved` gets numbers of bytes. Raises OSError."""
    if source.stat().st_size >= SHARED:
        try:
            return _link(source, target, moved, expected)
        except OSError as problem:
            if problem.errno not in UNSHARED:
                raise
    return copy(source, target, moved, expected)


def copy(source: Path, target: Path, moved: Callable[[int], None], expected: str, lasting: bool = True) -> str:
    """Like `link_or_copy`, but always a copy, which continues an earlier one that was cut off. A copy that is not
    `lasting` may be lost in a power failure: its reader compares its sha256."""
    part = _part(target)
    continuation = part.stat().st_size if part.exists() else 0
    with open(source, "rb") as read, open(part, "a+b") as write:
        write.seek(0)
        hash = hashlib.sha256()
        while block := write.read(BLOCK):
            hash.update(block)
        read.seek(continuation)
        moved(continuation)
        while block := read.read(BLOCK):
            write.write(block)
            hash.update(block)
            moved(len(block))
        if lasting:
            write.flush()
            os.fsync(write.fileno())
    actual = hash.hexdigest()
    if actual != expected:
        part.unlink()
        # the earlier part may be of another file
        return copy(source, target, lambda _: None, expected, lasting) if continuation else actual
    _replace(part, target)
    return actual


def _link(source: Path, target: Path, moved: Callable[[int], None], expected: str) -> str:
    part, hash = _part(target), hashlib.sha256()
    part.unlink(missing_ok=True)
    os.link(os.path.realpath(source), part)
    with open(part, "rb") as file:
        os.fsync(file.fileno())
        while block := file.read(BLOCK):
            hash.update(block)
            moved(len(block))
    if (actual := hash.hexdigest()) == expected:
        part.chmod(part.stat().st_mode & ~0o222)
        _replace(part, target)
    part.unlink(missing_ok=True)  # os.replace does nothing if both names are one file
    return actual


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _replace(part: Path, target: Path) -> None:
    os.replace(part, target)
    sync_folder(target.parent)
