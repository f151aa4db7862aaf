"""`kept.json`: the index of what a bucket has of a run. It is written last; what it does not name does not count."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launcher.runfolder.files import sha256, tree
from launcher.runfolder.plan import Bucket
from launcher.runfolder.rclone import NONE, S3, StoreError, rclone, remote
from launcher.runfolder.retention import KINDS, Artifact
from launcher.runfolder.validation import inside, number, plain, whole

NAME = "kept.json"
SMALL = 1 << 20
"""Up to so many bytes a file's sha256 is noted too; for larger files the bucket's own checksum has to do."""


@dataclass(frozen=True)
class Entry(Artifact):
    """An artifact in a bucket, with its files: name below `path` (empty if it is one file) -> bytes, sha256."""

    files: Mapping[str, Mapping[str, Any]]


def index_entry(artifact: Artifact, path: Path) -> Entry:
    """The entry of `artifact`, whose files are at `path`. Raises OSError if they are gone."""
    files = {}
    for name, size in (tree(path) if path.is_dir() else {"": path.stat().st_size}).items():
        small = {"sha256": sha256(path / name)} if size <= SMALL else {}
        files[name] = {"bytes": size, **small}
    return Entry(**asdict(artifact), files=files)


def holds(path: Path, entry: Entry) -> bool:
    """Whether `path` has exactly the files of the entry."""
    if not path.exists():
        return False
    sizes = tree(path) if path.is_dir() else {"": path.stat().st_size}
    if sizes != {name: facts["bytes"] for name, facts in entry.files.items()}:
        return False
    return all(sha256(path / name) == facts["sha256"] for name, facts in entry.files.items() if "sha256" in facts)


def read_index(bucket: Bucket, run: str, secrets: Mapping[str, str] = NONE) -> tuple[Entry, ...]:
    """What the bucket has of the run; empty without an index. Raises StoreError."""
    try:
        text = rclone(bucket, ["cat", remote(bucket, run), "--include", f"/{NAME}"], secrets=secrets)
    except StoreError as problem:
        if "directory not found" in problem.says and not bucket.url.startswith(S3):
            rclone(bucket, ["mkdir", remote(bucket, run)], secrets=secrets)  # such a store has real folders
            return ()
        raise
    if not text:
        return ()
    try:
        value = json.loads(text)
        if value["format"] != 1:
            raise ValueError
        entries = tuple(Entry(**fields) for fields in value["entries"])
        if not all(map(_sound, entries)):
            raise ValueError
        return entries
    except (ValueError, TypeError, KeyError, RecursionError):
        hint = "another version wrote it, or something else lies there: choose another folder in `bucket.url`"
        raise StoreError(f"`{run}/{NAME}` cannot be understood", hint, True) from None


def _sound(entry: Entry) -> bool:
    """Whether the entry belongs to a run and its files would be inside the run folder: somebody who may write to the
    bucket must not be able to write elsewhere here."""
    known = entry.kind in KINDS and number(entry.time) and whole(entry.step)
    named = inside(entry.path) and (entry.stage is None or plain(entry.stage))
    return (
        known
        and named
        and isinstance(entry.files, dict)
        and all(
            (name == "" or inside(name)) and isinstance(facts, dict) and type(facts.get("bytes")) is int
            for name, facts in entry.files.items()
        )
    )


def write_index(bucket: Bucket, run: str, entries: tuple[Entry, ...], secrets: Mapping[str, str] = NONE) -> None:
    """Writes the bucket's index. Raises StoreError."""
    value = {"format": 1, "run": run, "written": time.time(), "entries": [asdict(entry) for entry in entries]}
    rclone(bucket, ["rcat", remote(bucket, run, NAME)], json.dumps(value, indent=1, sort_keys=True), secrets)
