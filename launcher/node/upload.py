"""Uploads to a bucket what a run has to keep, one artifact at a time; an artifact counts once the index names it. A
process beside the stages does it, so that an upload never delays a run and never fails it."""

import os
import select
import shutil
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from launcher.runfolder.bucket_index import Entry, index_entry, read_index, write_index
from launcher.runfolder.events import Events, Tail
from launcher.runfolder.files import link_folder
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.processes import die_with_parent, signal_quietly
from launcher.runfolder.rclone import StoreError, log_problem, rclone, remote
from launcher.runfolder.retention import CHECKPOINT, EXPORT, MIRRORED, Artifact, artifacts

LINKS = ".uploading"
"""Below the run folder: links to the files of the checkpoint that is being uploaded, which the trainer may delete."""
LARGE = ("/stages/*/work/**", "/stages/*/out/**", "/export/**")
LOOK, MIRROR = 1.0, 60.0
"""Seconds between two looks for something new, and between two copies of the small files."""
LONGEST = 120.0
"""The most seconds between two tries while the bucket does not answer; the first pauses are shorter."""
TRIES = 3
"""Failures in a row after which a run ends without waiting for its upload."""


class Upload:
    """The upload of one run to its folder in a bucket."""

    def __init__(self, plan: Plan, folder: RunFolder):
        assert plan.bucket
        self.plan, self.bucket, self.folder = plan, plan.bucket, folder
        self.tail, self.seen = Tail(folder.events), list[Mapping[str, Any]]()
        self.index: tuple[Entry, ...] | None = None
        self.swept = False
        shutil.rmtree(folder.path / LINKS, ignore_errors=True)

    def upload_next(self) -> Artifact | None:
        """Uploads the first artifact that is not in the bucket. None if all are there; then superseded files are
        deleted too. Raises StoreError, and OSError if the artifact is gone."""
        self.seen += self.tail.new()
        if self.index is None:
            self.index = read_index(self.bucket, self.plan.run)
        kept = artifacts(self.plan, self.seen)
        stored = {(entry.path, entry.time) for entry in self.index}
        for artifact in kept:
            if (artifact.path, artifact.time) not in stored and (self.folder.path / artifact.path).exists():
                self._store(artifact, self.index)
                return artifact
        if kept and self.complete():
            self._tidy({artifact.path for artifact in kept}, self.index)
        return None

    def mirror(self) -> None:
        """Copies the small files as they are now. Raises StoreError."""
        patterns = [argument for pattern in MIRRORED for argument in ("--include", f"/{pattern}")]
        here, there = str(self.folder.path), remote(self.bucket, self.plan.run)
        rclone(self.bucket, ["copy", here, there, "--local-no-check-updated", *patterns])

    def newest(self) -> int | None:
        """The step of the newest checkpoint in the bucket."""
        return max((entry.step for entry in self.index or () if entry.step is not None), default=None)

    def complete(self) -> bool:
        """Whether the bucket has all that the run has to keep."""
        stored = {(entry.path, entry.time) for entry in self.index or ()}
        return all((artifact.path, artifact.time) in stored for artifact in artifacts(self.plan, self.seen))

    def _store(self, artifact: Artifact, index: Iterable[Entry]) -> None:
        others = [entry for entry in index if entry.path != artifact.path]
        if self.index != tuple(others):
            self._write(others)  # an older artifact has this path: while it is replaced, it must not count
        source, links = self.folder.path / artifact.path, self.folder.path / LINKS / artifact.path
        if artifact.kind == CHECKPOINT and source.is_dir():
            links.parent.mkdir(parents=True, exist_ok=True)
            link_folder(source, links)
            source = links
        made, there = index_entry(artifact, source), remote(self.bucket, self.plan.run, artifact.path)
        if source.is_dir():
            same, options = f"stages/{self.plan.export}/out", list[str]()
            if artifact.kind == EXPORT and any(entry.path == same for entry in others):
                # the bucket copies these files by itself
                options = ["--copy-dest", remote(self.bucket, self.plan.run, same)]
            rclone(self.bucket, ["sync", "--checksum", *options, str(source), there])
        else:
            rclone(self.bucket, ["copyto", "--checksum", str(source), there])
        shutil.rmtree(self.folder.path / LINKS, ignore_errors=True)
        if artifact.kind == CHECKPOINT:
            self.mirror()  # a new machine continues from it with its log and its number of attempts
        self._write([*others, made])

    def _write(self, entries: Iterable[Entry]) -> None:
        write_index(self.bucket, self.plan.run, tuple(entries))
        self.index = tuple(entries)

    def _tidy(self, paths: Collection[str], index: Sequence[Entry]) -> None:
        """Removes from the index all but `paths`, and from the bucket each large file that the index does not name,
        such as half an upload of a killed program."""
        left = [entry for entry in index if entry.path in paths]
        if len(left) == len(index) and self.swept:
            return
        if len(left) < len(index):
            self._write(left)
        there = remote(self.bucket, self.plan.run)
        patterns = [argument for pattern in LARGE for argument in ("--include", pattern)]
        files = rclone(self.bucket, ["lsf", "-R", "--files-only", there, *patterns]).splitlines()
        named = {f"{entry.path}/{name}".rstrip("/") for entry in left for name in entry.files}
        if superseded := [name for name in files if name not in named and not name.endswith("/work/progress.jsonl")]:
            rclone(self.bucket, ["delete", there, "--files-from-raw", "-"], "\n".join(superseded) + "\n")
        self.swept = True


class UploadProcess:
    """The process that uploads, as the node program sees it."""

    def __init__(self, upload: Upload, events: Events):
        self.events = events
        leash, self.leash = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            code = 1
            try:
                os.close(self.leash)
                os.setsid()  # Ctrl-C must reach the stages only
                os.nice(10)
                die_with_parent()
                _upload_all(upload, events, lambda seconds: bool(select.select([leash], [], [], seconds)[0]))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(leash)

    def finish(self, patience: float) -> None:
        """Waits until all is uploaded, `patience` seconds at most; an event says what happened."""
        os.close(self.leash)
        end = time.monotonic() + patience
        while (code := self._code()) is None:
            if time.monotonic() > end:
                signal_quietly(self.process, 9)
                os.waitpid(self.process, 0)
                self._warn(f"its {patience:.0f} s are over")
                return
            time.sleep(0.05)
        if code:
            self._warn("the process that uploads ended")

    def _code(self) -> int | None:
        try:
            ended, status = os.waitpid(self.process, os.WNOHANG)
        except ChildProcessError:  # it died while a stage ran, and the stage's end reaped it
            return 1
        return os.waitstatus_to_exitcode(status) if ended else None

    def _warn(self, why: str) -> None:
        self.events.add("run.warning", warning=f"the upload is not complete: {why}")


def _upload_all(upload: Upload, events: Events, ending: Callable[[float], bool]) -> None:
    """Uploads each artifact as soon as it is complete, until the run has ended and all is uploaded, or cannot be.
    `ending(seconds)` waits so many seconds at most for the end of the run, and returns whether it has ended."""
    pause, failed, mirrored, last = 0.0, 0, 0.0, False
    while True:
        try:
            kept = upload.upload_next()
            if kept:
                events.add("stage.stored", stage=kept.stage, kind=kept.kind, path=kept.path, step=kept.step)
            elif last:
                upload.mirror()
                _report_end(upload, events)
                return
            if time.monotonic() - mirrored > MIRROR:
                upload.mirror()
                mirrored = time.monotonic()
            pause, failed = 0.0 if kept else LOOK, 0
        except (StoreError, OSError) as problem:
            failed += 1
            pause = min(LONGEST, 2.0 ** (failed - 1))
            log_problem(problem)
            where = f"`{upload.bucket.url}`: {problem}"
            if last and failed >= TRIES:
                events.add("run.warning", warning=f"the upload is not complete: {where}")
                return
            if failed == 1 and not last:
                events.add("run.warning", warning=f"the upload does not work now, and is tried again: {where}")
        if last:
            time.sleep(min(pause, 2.0) if failed else 0)
        else:
            last = ending(pause)


def _report_end(upload: Upload, events: Events) -> None:
    if upload.complete():
        manifest = any(entry.path == "manifest.json" for entry in upload.index or ())
        events.add("run.stored", step=upload.newest(), manifest=manifest)
        upload.mirror()
    else:
        events.add("run.warning", warning="the upload is not complete: files are gone from the run folder")
