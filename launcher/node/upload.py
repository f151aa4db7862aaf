"""What a run has to keep, uploaded into a bucket: one thing at a time, believed when the index names it. A process does
it beside the stages, which never holds the run up and never fails it."""

import os
import select
import shutil
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from launcher.runfolder.bucket_index import Entry, entry, read_index, write_index
from launcher.runfolder.events import Events, Tail
from launcher.runfolder.files import same_folder
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.processes import die_with_parent, signal_quietly
from launcher.runfolder.rclone import StoreError, rclone, remote, say
from launcher.runfolder.retention import CHECKPOINT, EXPORT, MIRRORED, Keep, keeps

HELD = ".keeping"
"""Below the run folder: links to the files of the checkpoint that is being stored, which the trainer may prune."""
LARGE = ("/stages/*/work/**", "/stages/*/out/**", "/export/**")
LOOK, MIRROR = 1.0, 60.0
"""Seconds between looks for something new, and between copies of the small files."""
LONGEST = 120.0
"""Seconds between tries while the store does not answer; the first ones follow sooner."""
TRIES = 3
"""Failures in a row after which the end of a run is not held up any longer."""


class Upload:
    """A run and its place in a bucket."""

    def __init__(self, plan: Plan, folder: RunFolder):
        assert plan.bucket
        self.plan, self.bucket, self.folder = plan, plan.bucket, folder
        self.tail, self.seen = Tail(folder.events), list[Mapping[str, Any]]()
        self.index: tuple[Entry, ...] | None = None
        self.swept = False
        shutil.rmtree(folder.path / HELD, ignore_errors=True)

    def next(self) -> Keep | None:
        """One more thing is stored, the first of those that are not; None when all are, and nothing superseded is left.
        Raises StoreError, and OSError when the thing is gone."""
        self.seen += self.tail.new()
        if self.index is None:
            self.index = read_index(self.bucket, self.plan.run)
        wanted = keeps(self.plan, self.seen)
        stored = {(one.path, one.time) for one in self.index}
        for keep in wanted:
            if (keep.path, keep.time) not in stored and (self.folder.path / keep.path).exists():
                self._store(keep, self.index)
                return keep
        if wanted and self.complete():
            self._tidy({one.path for one in wanted}, self.index)
        return None

    def mirror(self) -> None:
        """The small files are there as they are now. Raises StoreError."""
        patterns = [word for one in MIRRORED for word in ("--include", f"/{one}")]
        here, there = str(self.folder.path), remote(self.bucket, self.plan.run)
        rclone(self.bucket, ["copy", here, there, "--local-no-check-updated", *patterns])

    def newest(self) -> int | None:
        """The step of the newest checkpoint that is stored."""
        return max((one.step for one in self.index or () if one.step is not None), default=None)

    def complete(self) -> bool:
        """Whether all that is to be kept is stored."""
        stored = {(one.path, one.time) for one in self.index or ()}
        return all((one.path, one.time) in stored for one in keeps(self.plan, self.seen))

    def _store(self, keep: Keep, index: Iterable[Entry]) -> None:
        others = [one for one in index if one.path != keep.path]
        if self.index != tuple(others):
            self._write(others)  # made anew under the same name: while it is replaced, it does not count
        place, held = self.folder.path / keep.path, self.folder.path / HELD / keep.path
        if keep.kind == CHECKPOINT and place.is_dir():
            held.parent.mkdir(parents=True, exist_ok=True)
            same_folder(place, held)
            place = held
        made, there = entry(keep, place), remote(self.bucket, self.plan.run, keep.path)
        if place.is_dir():
            same, ways = f"stages/{self.plan.export}/out", list[str]()
            if keep.kind == EXPORT and any(one.path == same for one in others):  # the store copies these by itself
                ways = ["--copy-dest", remote(self.bucket, self.plan.run, same)]
            rclone(self.bucket, ["sync", "--checksum", *ways, str(place), there])
        else:
            rclone(self.bucket, ["copyto", "--checksum", str(place), there])
        shutil.rmtree(self.folder.path / HELD, ignore_errors=True)
        if keep.kind == CHECKPOINT:
            self.mirror()  # a fresh machine goes on from it with its log and its count of attempts
        self._write([*others, made])

    def _write(self, entries: Iterable[Entry]) -> None:
        write_index(self.bucket, self.plan.run, tuple(entries))
        self.index = tuple(entries)

    def _tidy(self, wanted: Collection[str], index: Sequence[Entry]) -> None:
        """The index names only what is wanted; of stages and exports the bucket has nothing that it does not name, not
        even what a killed program left half stored."""
        left = [one for one in index if one.path in wanted]
        if len(left) == len(index) and self.swept:
            return
        if len(left) < len(index):
            self._write(left)
        there = remote(self.bucket, self.plan.run)
        places = [word for one in LARGE for word in ("--include", one)]
        found = rclone(self.bucket, ["lsf", "-R", "--files-only", there, *places]).splitlines()
        named = {f"{one.path}/{name}".rstrip("/") for one in left for name in one.files}
        if superseded := [one for one in found if one not in named and not one.endswith("/work/progress.jsonl")]:
            rclone(self.bucket, ["delete", there, "--files-from-raw", "-"], "\n".join(superseded) + "\n")
        self.swept = True


class UploadProcess:
    """The process, as the node program sees it."""

    def __init__(self, storing: Upload, events: Events):
        self.events = events
        leash, self.leash = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            code = 1
            try:
                os.close(self.leash)
                os.setsid()  # a Ctrl-C is for the stages
                os.nice(10)
                die_with_parent()
                _keep(storing, events, lambda seconds: bool(select.select([leash], [], [], seconds)[0]))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(leash)

    def finish(self, patience: float) -> None:
        """All is stored, and an event says so; or `patience` seconds have passed, or the store does not answer, and an
        event says that."""
        os.close(self.leash)
        end = time.monotonic() + patience
        while (code := self._code()) is None:
            if time.monotonic() > end:
                signal_quietly(self.process, 9)
                os.waitpid(self.process, 0)
                self._warn(f"it was given {patience:.0f} s")
                return
            time.sleep(0.05)
        if code:
            self._warn("the process that stores ended")

    def _code(self) -> int | None:
        try:
            ended, status = os.waitpid(self.process, os.WNOHANG)
        except ChildProcessError:  # it died while a stage ran, and was buried with it
            return 1
        return os.waitstatus_to_exitcode(status) if ended else None

    def _warn(self, why: str) -> None:
        self.events.add("run.warning", warning=f"not everything is stored: {why}")


def _keep(storing: Upload, events: Events, ending: Callable[[float], bool]) -> None:
    """Everything there is to keep is stored as soon as it can be, until the run has ended and all is stored, or cannot
    be. `ending(seconds)` waits so long at most for the run's end."""
    pause, failed, mirrored, last = 0.0, 0, 0.0, False
    while True:
        try:
            kept = storing.next()
            if kept:
                events.add("stage.stored", stage=kept.stage, kind=kept.kind, path=kept.path, step=kept.step)
            elif last:
                storing.mirror()
                _say_all(storing, events)
                return
            if time.monotonic() - mirrored > MIRROR:
                storing.mirror()
                mirrored = time.monotonic()
            pause, failed = 0.0 if kept else LOOK, 0
        except (StoreError, OSError) as problem:
            failed += 1
            pause = min(LONGEST, 2.0 ** (failed - 1))
            say(problem)
            where = f"`{storing.bucket.url}`: {problem}"
            if last and failed >= TRIES:
                events.add("run.warning", warning=f"not everything is stored in {where}")
                return
            if failed == 1 and not last:
                events.add("run.warning", warning=f"nothing can be stored now in {where}; tried again until it can")
        if last:
            time.sleep(min(pause, 2.0) if failed else 0)
        else:
            last = ending(pause)


def _say_all(storing: Upload, events: Events) -> None:
    if storing.complete():
        manifest = any(one.path == "manifest.json" for one in storing.index or ())
        events.add("run.stored", step=storing.newest(), manifest=manifest)
        storing.mirror()
    else:
        events.add("run.warning", warning="not everything is stored: something to keep is gone from the run folder")
