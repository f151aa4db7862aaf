"""The laptop's copy of a run folder on a machine: its events and logs, what a new machine needs to continue the run,
and the thread that copies this while the run lasts."""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import FAILED, LaunchError
from launcher.runfolder.events import Tail
from launcher.runfolder.files import read_json, sha256, write_json
from launcher.runfolder.manifest import defect, matches, read
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.retention import (
    CHECKPOINT,
    EXPORT,
    MANIFEST,
    MIRRORED,
    RESULT,
    Artifact,
    artifacts,
    checkpoint_of,
)
from launcher.runfolder.validation import inside
from launcher.transfer.copy import folder_lock
from launcher.transfer.ssh import NoRoom, Remote, Unreachable, disk_errors

AT_ONCE = 4
"""Files of an export that are copied at the same time."""
PLAIN = "--no-links"
"""An option of rsync: copy no links. What is read or appended to here must not be a link to another path."""
DISTRUST = "nothing was copied: do not trust the machine that wrote it"
COPIES = ".copies.json"
"""Below the local copy of the run folder: what was copied, and when it was made on the machine."""


@dataclass(frozen=True)
class Mirror:
    """`here` is the local copy of the run folder `there` on the machine."""

    plan: Plan
    remote: Remote
    there: str
    here: RunFolder
    lasting: bool = False
    """Whether `there` still exists after the machine is terminated."""

    def refresh(self) -> None:
        """Copies events and logs. Raises Unreachable, NoRoom, or LaunchError."""
        folders = {"/".join(name.split("/")[:depth]) for name in MIRRORED for depth in range(1, name.count("/") + 1)}
        shown = [f"--include=/{name}/" for name in sorted(folders)] + [f"--include=/{name}" for name in MIRRORED]
        self.remote.fetch(f"{self.there}/", self.here.path, PLAIN, *shown, "--exclude=*", "--prune-empty-dirs")

    def missing(self) -> list[Artifact]:
        """What a new machine needs and is not here yet, in the order in which it must be copied. Empty if a bucket has
        it, or if the run folder outlives the machine."""
        if self._outlives:
            return []
        return [artifact for artifact in self.needed() if not self.has(artifact)]

    def needed(self) -> list[Artifact]:
        """What a new machine needs by the events that are here, copied or not."""
        kept = artifacts(self.plan, Tail(self.here.events).new())
        return [artifact for artifact in kept if artifact.kind not in (EXPORT, MANIFEST)]

    def present(self) -> list[Artifact]:
        """What is here of what a new machine needs. In place of a checkpoint whose copy was not complete when the
        machine ended, the newest earlier one of its stage that is here."""
        events = Tail(self.here.events).new()
        return [copy for artifact in self.needed() if (copy := self._here_or_earlier(artifact, events))]

    def _here_or_earlier(self, artifact: Artifact, events: list[dict[str, Any]]) -> Artifact | None:
        if (self.here.path / artifact.path).exists():
            return artifact
        if artifact.kind != CHECKPOINT:
            return None
        saved = [event for event in events if event.get("event") == "stage.checkpoint"]
        earlier = [checkpoint_of(event) for event in reversed(saved) if event.get("stage") == artifact.stage]
        return next((checkpoint for checkpoint in earlier if (self.here.path / checkpoint.path).exists()), None)

    def has(self, artifact: Artifact) -> bool:
        """Whether the artifact is here, and not an earlier one with the same path."""
        copies = self._copies()
        return (self.here.path / artifact.path).exists() and copies.get(artifact.path, artifact.time) == artifact.time

    def copy_missing(self) -> list[Artifact]:
        """Copies what is missing, and returns what could not be copied, which the next call tries again. A checkpoint
        that is deleted on the machine while it is copied is skipped. Raises Unreachable, or NoRoom."""
        with disk_errors(self.here.path):
            return self._copy_missing()

    def unsaved(self) -> NoRoom | None:
        """Why files that exist only on the machine cannot be copied here; None if nothing would be lost, or if the
        machine does not answer."""
        if self._outlives:
            return None
        try:
            self.refresh()
            self.copy_missing()
        except NoRoom as problem:
            return problem
        except LaunchError:
            return None  # the machine does not answer: nothing can be copied from it
        return None

    def has_export(self) -> bool:
        """Whether the manifest is here, with all files that it lists."""
        manifest = read(self.here.manifest)
        return manifest is not None and matches(manifest, self.here)

    def copy_export(self) -> None:
        """Copies the export of a finished run, several files at a time, and then the manifest. Raises LaunchError."""
        with folder_lock(self._incoming):
            if not self.has_export():  # another launch may have copied it
                self._copy_export()

    def files_to_send(self) -> list[str]:
        """What this copy has and a new machine needs: paths relative to the run folder."""
        paths = [artifact.path for artifact in self.present()]
        small = [path.relative_to(self.here.path).as_posix() for name in MIRRORED for path in self.here.path.glob(name)]
        return [name for name in [*paths, *small] if (self.here.path / name).exists()]

    @property
    def _outlives(self) -> bool:
        """Whether the run's files are not lost with the machine."""
        return self.plan.bucket is not None or self.lasting

    @property
    def _incoming(self) -> Path:
        """What is being copied. Two launches that follow one run use it in turn."""
        return self.here.path / ".incoming"

    def _copy_missing(self) -> list[Artifact]:
        left = []
        for artifact in self.missing():
            try:
                self._copy(artifact)
            except (Unreachable, NoRoom):
                raise
            except LaunchError:
                left.append(artifact)
                if artifact.kind == RESULT:
                    break  # its done record must not be copied before it
        with folder_lock(self._incoming):
            self._drop_superseded()
        return left

    def _copy(self, artifact: Artifact) -> None:
        with folder_lock(self._incoming):
            if not self.has(artifact):
                self._fetch(artifact)

    def _copy_export(self) -> None:
        part = self._incoming / "manifest.json"
        self.remote.fetch(f"{self.there}/manifest.json", part, PLAIN)
        manifest = read_json(part)
        if not isinstance(manifest, dict) or (why := defect(manifest)):
            why = why if isinstance(manifest, dict) else "it cannot be read"
            raise LaunchError(f"`{self.remote.host}:{self.there}/manifest.json`: {why}", DISTRUST, FAILED)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._fetch_exported, *zip(*manifest["export"].items(), strict=True)))
        os.replace(part, self.here.manifest)

    def _fetch(self, artifact: Artifact) -> None:
        target = self.here.path / artifact.path
        part = self._incoming / artifact.path
        source = f"{self.there}/{artifact.path}"
        folder = artifact.kind in (CHECKPOINT, RESULT)
        self.remote.fetch(source + "/" if folder else source, part, *(["--delete"] if folder else []))
        _demand_own(part)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(part, target)
        write_json(self.here.path / COPIES, {**self._copies(), artifact.path: artifact.time})

    def _copies(self) -> dict[str, float]:
        times = read_json(self.here.path / COPIES)
        return {name: time for name, time in times.items() if inside(name)} if isinstance(times, dict) else {}

    def _fetch_exported(self, name: str, facts: Mapping[str, Any]) -> None:
        target, source = self.here.export / name, f"{self.there}/export/{name}"
        if target.is_file() and target.stat().st_size < facts["bytes"] and target.stat().st_nlink == 1:
            # probably the beginning of the file; a file with a second name must not be written to
            self.remote.fetch(source, target, PLAIN, "--append")
            if sha256(target) == facts["sha256"]:
                return
            target.unlink()
        self.remote.fetch(source, target, PLAIN)

    def _drop_superseded(self) -> None:
        """Deletes checkpoints here that newer artifacts here have superseded."""
        copies = self._copies()
        needed = {artifact.path for artifact in self.needed()}
        old = [path for path in copies if "/work/" in path and path not in needed]
        if old and not self.missing():
            for path in old:
                shutil.rmtree(self.here.path / path, ignore_errors=True)
            write_json(self.here.path / COPIES, {path: copies[path] for path in copies if path not in old})


def _demand_own(part: Path) -> None:
    """Deletes a copy that contains a link to a path outside of it, and raises LaunchError. rsync skips such links
    (`--safe-links`), but older versions overlook a link that leads out through another link."""
    for path in [part, *part.rglob("*")]:
        if path.is_symlink() and not path.resolve().is_relative_to(part.resolve() if path != part else part.parent):
            shutil.rmtree(part, ignore_errors=True)
            raise LaunchError(f"`{path}` is a link to a path outside of its folder", DISTRUST, FAILED)


class Copier:
    """The thread that copies checkpoints and results, one after the other. `show` gets a text, once, if there is no
    room for them."""

    def __init__(self, mirror: Mirror, show: Callable[[str], None]):
        self.mirror, self.show = mirror, show
        self.thread: threading.Thread | None = None
        self.full = False

    def start(self) -> None:
        """Starts to copy what is missing, unless the thread is at work."""
        if (self.thread is None or not self.thread.is_alive()) and self.mirror.missing():
            self.thread = threading.Thread(target=self._copy_missing, daemon=True)
            self.thread.start()

    def finish(self) -> None:
        """Waits for the thread, then copies what it left."""
        if self.thread:
            self.thread.join()
        self._copy_missing()

    def _copy_missing(self) -> None:
        try:
            with contextlib.suppress(Unreachable):  # the caller asks the machine again, and reports it
                self.mirror.copy_missing()
                self.full = False
        except NoRoom as problem:
            if not self.full:
                self.show(f"not copied: {problem.error}; only the machine has the newest files")
            self.full = True
