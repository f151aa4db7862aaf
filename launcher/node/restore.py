"""Copies from the bucket what a run folder does not have any more, before the first stage begins."""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.node.limits import Stop, problem_before
from launcher.node.stage import Site
from launcher.runfolder.bucket_index import Entry, holds, read_index
from launcher.runfolder.events import Tail
from launcher.runfolder.files import read_json, sync_folder
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.problem import FAILED, Problem
from launcher.runfolder.rclone import StoreError, log_problem, rclone, remote
from launcher.runfolder.retention import CHECKPOINT, DONE_RECORD, EVENTS, EXPORT, LOGS, MANIFEST, RESULT, artifacts

PARTS = ".restoring"
"""Below the run folder: what is being copied. While this folder exists, the run folder is not complete."""
ORDER = (RESULT, CHECKPOINT, EXPORT, DONE_RECORD, MANIFEST)
TRIES, PAUSE = 24, 5.0
"""How often a bucket that does not answer is asked when the run folder is empty, and the seconds in between."""


def restore(plan: Plan, site: Site) -> None:
    """Copies into the run folder all that the bucket's index names, unless something newer is there. If the run folder
    is empty, a bucket that cannot be read is a Problem: a new start would repeat work. Otherwise it is a warning."""
    assert plan.bucket
    folder, where = site.folder.path, f"`{plan.bucket.url}` cannot be read"
    empty = not (folder / "stages").exists() or (folder / PARTS).exists()
    for tried in range(1, TRIES + 1):
        try:
            _restore(plan, site, empty)
            break
        except StoreError as problem:
            if reason := site.stop.reason():
                raise problem_before(reason, f"stage `{plan.stages[0].name}`") from None
            log_problem(problem)
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
    lacking = [entry for entry in _current(plan, index, newer) if not _has(folder, entry)]
    for entry in sorted(lacking, key=lambda entry: ORDER.index(entry.kind)):
        part, target = parts / entry.path, folder.path / entry.path
        part.parent.mkdir(parents=True, exist_ok=True)
        verb = "copyto" if "" in entry.files else "sync"
        arguments = [verb, "--checksum", remote(bucket, plan.run, entry.path), str(part)]
        site.stop.note_progress()
        rclone(bucket, arguments, stop=site.stop.reason)
        if not holds(part, entry):
            raise StoreError(f"`{entry.path}` there is not what its index says", "remove the run's folder there", True)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(part, target)
        sync_folder(target.parent)
    patterns = [part for pattern in LOGS for part in ("--include", f"/{pattern}")]
    rclone(bucket, ["copy", "--ignore-existing", there, str(folder.path), *patterns])
    shutil.rmtree(parts, ignore_errors=True)
    if lacking:
        site.events.add("run.restored", paths=[entry.path for entry in lacking])


def _rest(stop: Stop) -> None:
    """Waits before the next try, or until the run has to stop."""
    end = time.monotonic() + PAUSE
    while time.monotonic() < end and not stop.reason():
        time.sleep(0.1)


def _history(plan: Plan, folder: RunFolder) -> list[Mapping[str, Any]] | None:
    """Copies events.jsonl from the bucket if that file is longer. Otherwise returns the events that are here, which are
    newer."""
    assert plan.bucket
    part = folder.path / PARTS / EVENTS
    part.parent.mkdir(parents=True, exist_ok=True)
    rclone(plan.bucket, ["copy", remote(plan.bucket, plan.run), str(part.parent), "--include", f"/{EVENTS}"])
    here: list[Mapping[str, Any]] = [*Tail(folder.events).new()]
    if not part.exists():
        return here or None
    if any("stage" in event for event in here) and folder.events.stat().st_size >= part.stat().st_size:
        part.unlink()
        return here
    os.replace(part, folder.events)
    return None


def _current(plan: Plan, index: Sequence[Entry], newer: Sequence[Mapping[str, Any]] | None) -> list[Entry]:
    """The entries that are still current by the newer events."""
    if newer is None:
        return list(index)
    paths = {entry.path for entry in artifacts(plan, newer)}
    return [entry for entry in index if entry.path in paths]


def _has(folder: RunFolder, entry: Entry) -> bool:
    """Whether the run folder has the entry, or something that makes it unnecessary."""
    path, done = folder.path / entry.path, entry.stage and read_json(folder.stage(entry.stage).done)
    if entry.kind in (DONE_RECORD, MANIFEST):
        return path.exists()
    if entry.kind == EXPORT and folder.manifest.exists():
        return True
    if entry.kind in (RESULT, CHECKPOINT) and isinstance(done, dict):
        return True
    return holds(path, entry)
