"""A run folder that has lost what a bucket still holds gets it back before anything else happens."""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.node.limits import Stop, not_begun
from launcher.node.stage import Site
from launcher.runfolder.bucket_index import Entry, holds, read_index
from launcher.runfolder.events import Tail
from launcher.runfolder.files import read_json, sync_folder
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.problem import FAILED, Problem
from launcher.runfolder.rclone import StoreError, rclone, remote, say
from launcher.runfolder.retention import CHECKPOINT, EVENTS, EXPORT, LOGS, MANIFEST, PROOF, RESULT, keeps

PARTS = ".restoring"
"""Below the run folder: what is on its way here. While it exists, the folder does not hold all that it should."""
ORDER = (RESULT, CHECKPOINT, EXPORT, PROOF, MANIFEST)
TRIES, PAUSE = 24, 5.0
"""How often a store that does not answer is asked where there is nothing to go on with, and the seconds in between."""


def restore(plan: Plan, site: Site) -> None:
    """The run folder holds all that the bucket's index names, or something newer. Where nothing was done yet, a store
    that cannot be read is a Problem: to begin anew would waste what it holds. Elsewhere it is a warning."""
    assert plan.bucket
    folder, where = site.folder.path, f"`{plan.bucket.url}` cannot be read"
    empty = not (folder / "stages").exists() or (folder / PARTS).exists()
    for tried in range(1, TRIES + 1):
        try:
            _restore(plan, site, empty)
            break
        except StoreError as problem:
            if reason := site.stop.reason():
                raise not_begun(reason, f"stage `{plan.stages[0].name}`") from None
            say(problem)
            if not empty:
                warning = f"{where}: {problem}; the run continues with what is here"
                site.events.add("run.warning", warning=warning)
                break
            if problem.lasting or tried == TRIES:
                raise Problem(f"{where}: {problem}", problem.hint, FAILED) from None
        _rest(site.stop)


def _restore(plan: Plan, site: Site, empty: bool) -> None:
    assert plan.bucket
    folder, bucket, there = site.folder, plan.bucket, remote(plan.bucket, plan.run)
    index, parts = read_index(bucket, plan.run), site.folder.path / PARTS
    if not index:
        shutil.rmtree(parts, ignore_errors=True)
        return
    if empty:
        parts.mkdir(parents=True, exist_ok=True)
    newer = _history(plan, folder)
    lacking = [one for one in _current(plan, index, newer) if not _has(folder, one)]
    for one in sorted(lacking, key=lambda one: ORDER.index(one.kind)):
        part, target = parts / one.path, folder.path / one.path
        part.parent.mkdir(parents=True, exist_ok=True)
        verb = "copyto" if "" in one.files else "sync"
        words = [verb, "--checksum", remote(bucket, plan.run, one.path), str(part)]
        site.stop.moving()
        rclone(bucket, words, stop=site.stop.reason)
        if not holds(part, one):
            raise StoreError(f"`{one.path}` there is not what its index says", "remove the run's folder there", True)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(part, target)
        sync_folder(target.parent)
    patterns = [word for one in LOGS for word in ("--include", f"/{one}")]
    rclone(bucket, ["copy", "--ignore-existing", there, str(folder.path), *patterns])
    shutil.rmtree(parts, ignore_errors=True)
    if lacking:
        site.events.add("run.restored", paths=[one.path for one in lacking])


def _rest(stop: Stop) -> None:
    """A pause, shorter when the run has to stop."""
    end = time.monotonic() + PAUSE
    while time.monotonic() < end and not stop.reason():
        time.sleep(0.1)


def _history(plan: Plan, folder: RunFolder) -> list[Mapping[str, Any]] | None:
    """events.jsonl is the bucket's if that tells more; else what is here, which is newer, is returned."""
    assert plan.bucket
    part = folder.path / PARTS / EVENTS
    part.parent.mkdir(parents=True, exist_ok=True)
    rclone(plan.bucket, ["copy", remote(plan.bucket, plan.run), str(part.parent), "--include", f"/{EVENTS}"])
    here: list[Mapping[str, Any]] = [*Tail(folder.events).new()]
    if not part.exists():
        return here or None
    if any("stage" in one for one in here) and folder.events.stat().st_size >= part.stat().st_size:
        part.unlink()
        return here
    os.replace(part, folder.events)
    return None


def _current(plan: Plan, index: Sequence[Entry], newer: Sequence[Mapping[str, Any]] | None) -> list[Entry]:
    """The entries that a newer history does not call superseded."""
    if newer is None:
        return list(index)
    paths = {one.path for one in keeps(plan, newer)}
    return [one for one in index if one.path in paths]


def _has(folder: RunFolder, one: Entry) -> bool:
    """Whether the run folder holds the entry, or what makes it needless."""
    place, done = folder.path / one.path, one.stage and read_json(folder.stage(one.stage).done)
    if one.kind in (PROOF, MANIFEST):
        return place.exists()
    if one.kind == EXPORT and folder.manifest.exists():
        return True
    if one.kind in (RESULT, CHECKPOINT) and isinstance(done, dict):
        return True
    return holds(place, one)
