"""`kept.json`: what a bucket holds of a run, written last and whole. What it does not name does not count."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launcher.runfolder.files import sha256, tree
from launcher.runfolder.plan import Bucket
from launcher.runfolder.rclone import NONE, S3, StoreError, rclone, remote
from launcher.runfolder.retention import CHECKPOINT, EXPORT, MANIFEST, PROOF, RESULT, Keep
from launcher.runfolder.validation import inside, number, plain, whole

NAME = "kept.json"
SMALL = 1 << 20
"""Bytes up to which a file's sha256 is noted too; for larger ones the store's own checksum has to do."""


@dataclass(frozen=True)
class Entry(Keep):
    """A thing that is stored, with its files: name below `path` (empty when it is one file) -> bytes, sha256."""

    files: Mapping[str, Mapping[str, Any]]


def entry(keep: Keep, place: Path) -> Entry:
    """The entry of `keep`, which lies at `place`. Raises OSError when it is gone."""
    files = {}
    for name, size in (tree(place) if place.is_dir() else {"": place.stat().st_size}).items():
        small = {"sha256": sha256(place / name)} if size <= SMALL else {}
        files[name] = {"bytes": size, **small}
    return Entry(**asdict(keep), files=files)


def holds(place: Path, wanted: Entry) -> bool:
    """Whether `place` is what the entry says, no file more and none less."""
    if not place.exists():
        return False
    found = tree(place) if place.is_dir() else {"": place.stat().st_size}
    if found != {name: one["bytes"] for name, one in wanted.files.items()}:
        return False
    return all(sha256(place / name) == one["sha256"] for name, one in wanted.files.items() if "sha256" in one)


def read_index(bucket: Bucket, run: str, secrets: Mapping[str, str] = NONE) -> tuple[Entry, ...]:
    """What the bucket holds of the run; nothing when it has no index. Raises StoreError."""
    try:
        text = rclone(bucket, ["cat", remote(bucket, run), "--include", f"/{NAME}"], secrets=secrets)
    except StoreError as problem:
        if "directory not found" in problem.says and not bucket.url.startswith(S3):
            rclone(bucket, ["mkdir", remote(bucket, run)], secrets=secrets)  # folders are real there
            return ()
        raise
    if not text:
        return ()
    try:
        value = json.loads(text)
        if value["format"] != 1:
            raise ValueError
        entries = tuple(Entry(**one) for one in value["entries"])
        if not all(map(_sound, entries)):
            raise ValueError
        return entries
    except (ValueError, TypeError, KeyError, RecursionError):
        hint = "another version wrote it, or something else lies there: choose another folder in `bucket.url`"
        raise StoreError(f"`{run}/{NAME}` cannot be understood", hint, True) from None


def _sound(one: Entry) -> bool:
    """Whether it is a thing of a run, and would lie in the run folder: who may write to the bucket may not write
    elsewhere."""
    known = one.kind in (CHECKPOINT, RESULT, PROOF, EXPORT, MANIFEST) and number(one.time) and whole(one.step)
    named = inside(one.path) and (one.stage is None or plain(one.stage))
    return (
        known
        and named
        and isinstance(one.files, dict)
        and all(
            (name == "" or inside(name)) and isinstance(about, dict) and type(about.get("bytes")) is int
            for name, about in one.files.items()
        )
    )


def write_index(bucket: Bucket, run: str, entries: tuple[Entry, ...], secrets: Mapping[str, str] = NONE) -> None:
    """The bucket's index names `entries`. Raises StoreError."""
    value = {"format": 1, "run": run, "written": time.time(), "entries": [asdict(one) for one in entries]}
    rclone(bucket, ["rcat", remote(bucket, run, NAME)], json.dumps(value, indent=1, sort_keys=True), secrets)
