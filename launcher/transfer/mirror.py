"""The laptop's copy of a run folder that lies on a machine: what is said there, what a fresh machine would need, and
the thread that copies it while the run works."""

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
from launcher.runfolder.manifest import has_all, read, wrong
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.retention import CHECKPOINT, EXPORT, MANIFEST, MIRRORED, RESULT, Keep, keeps
from launcher.runfolder.validation import inside
from launcher.transfer.copy import alone
from launcher.transfer.ssh import NoRoom, Remote, Unreachable, writing

AT_ONCE = 4
"""Files of an export that are copied at the same time."""
PLAIN = "--no-links"
"""rsync's word for files and folders alone: what is read, or appended to, here must not be a link to somewhere else."""
DISTRUST = "nothing was copied: do not trust the machine that wrote it"
BROUGHT = ".brought.json"
"""Below the run folder here: what was copied, and when it was made there."""


@dataclass(frozen=True)
class Mirror:
    """`here` follows the run folder `there` on the machine; rsync is the only writer of what it brings."""

    plan: Plan
    remote: Remote
    there: str
    here: RunFolder
    lasting: bool = False
    """Whether `there` outlives the machine."""

    def look(self) -> None:
        """Events and logs are as they are there. Raises Unreachable, NoRoom, or LaunchError."""
        folders = {"/".join(name.split("/")[:depth]) for name in MIRRORED for depth in range(1, name.count("/") + 1)}
        shown = [f"--include=/{name}/" for name in sorted(folders)] + [f"--include=/{name}" for name in MIRRORED]
        self.remote.fetch(f"{self.there}/", self.here.path, PLAIN, *shown, "--exclude=*", "--prune-empty-dirs")

    def missing(self) -> list[Keep]:
        """What a fresh machine would need and is not here yet, in the order in which it must come; nothing where a
        bucket has it, or where it is does not go away."""
        if self._outlives:
            return []
        return [one for one in self.needed() if not self.has(one)]

    def needed(self) -> list[Keep]:
        """What a fresh machine would need of the run as it is said to be, here or not."""
        kept = keeps(self.plan, Tail(self.here.events).new())
        return [one for one in kept if one.kind not in (EXPORT, MANIFEST)]

    def has(self, one: Keep) -> bool:
        """Whether it is here, and is not an earlier one of the same name."""
        brought = self._brought()
        return (self.here.path / one.path).exists() and brought.get(one.path, one.time) == one.time

    def keep(self) -> list[Keep]:
        """What was missing is here, each thing whole; what is returned is not, and will be tried again. A checkpoint
        that made room for a newer one while it was copied is passed over. Raises Unreachable, or NoRoom."""
        with writing(self.here.path):
            return self._keep()

    def unsaved(self) -> NoRoom | None:
        """Why what a fresh machine would need cannot be had from a machine that has it; None where all of it is here,
        or elsewhere, or nobody answers."""
        if self._outlives:
            return None
        try:
            self.look()
            self.keep()
        except NoRoom as problem:
            return problem
        except LaunchError:
            pass
        return None

    def has_export(self) -> bool:
        """Whether the manifest is here, and all that it lists."""
        manifest = read(self.here.manifest)
        return manifest is not None and has_all(manifest, self.here)

    def export(self) -> None:
        """The finished run's export is here, several files at a time, and after it the manifest. Raises LaunchError."""
        with alone(self._incoming):
            if not self.has_export():  # another launch may have brought it meanwhile
                self._export()

    def to_send(self) -> list[str]:
        """What this copy has and a fresh machine needs, relative to the run folder."""
        found = [one.path for one in self.needed()]
        small = [path.relative_to(self.here.path).as_posix() for name in MIRRORED for path in self.here.path.glob(name)]
        return [name for name in [*found, *small] if (self.here.path / name).exists()]

    @property
    def _outlives(self) -> bool:
        """Whether what is there is not lost with the machine: a bucket has it, or it lies where it does not go away."""
        return self.plan.bucket is not None or self.lasting

    @property
    def _incoming(self) -> Path:
        """What is being copied. Two launches that follow one run take turns in it."""
        return self.here.path / ".incoming"

    def _keep(self) -> list[Keep]:
        left = []
        for one in self.missing():
            try:
                self._bring(one)
            except (Unreachable, NoRoom):
                raise
            except LaunchError:
                left.append(one)
                if one.kind == RESULT:
                    break  # its proof must not come before it
        with alone(self._incoming):
            self._drop_superseded()
        return left

    def _bring(self, one: Keep) -> None:
        with alone(self._incoming):
            if not self.has(one):
                self._fetch(one)

    def _export(self) -> None:
        part = self._incoming / "manifest.json"
        self.remote.fetch(f"{self.there}/manifest.json", part, PLAIN)
        manifest = read_json(part)
        if not isinstance(manifest, dict) or (why := wrong(manifest)):
            why = why if isinstance(manifest, dict) else "it cannot be read"
            raise LaunchError(f"`{self.remote.host}:{self.there}/manifest.json`: {why}", DISTRUST, FAILED)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._fetch_exported, *zip(*manifest["export"].items(), strict=True)))
        os.replace(part, self.here.manifest)

    def _fetch(self, one: Keep) -> None:
        target = self.here.path / one.path
        part = self._incoming / one.path
        source = f"{self.there}/{one.path}"
        folder = one.kind in (CHECKPOINT, RESULT)
        self.remote.fetch(source + "/" if folder else source, part, *(["--delete"] if folder else []))
        _demand_own(part)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(part, target)
        write_json(self.here.path / BROUGHT, {**self._brought(), one.path: one.time})

    def _brought(self) -> dict[str, float]:
        found = read_json(self.here.path / BROUGHT)
        return {name: one for name, one in found.items() if inside(name)} if isinstance(found, dict) else {}

    def _fetch_exported(self, name: str, wanted: Mapping[str, Any]) -> None:
        target, source = self.here.export / name, f"{self.there}/export/{name}"
        if target.is_file() and target.stat().st_size < wanted["bytes"] and target.stat().st_nlink == 1:
            # what broke off is a beginning, most likely; what has a second name at home is not written to
            self.remote.fetch(source, target, PLAIN, "--append")
            if sha256(target) == wanted["sha256"]:
                return
            target.unlink()
        self.remote.fetch(source, target, PLAIN)

    def _drop_superseded(self) -> None:
        """Checkpoints that were copied here and that something newer here has replaced are gone."""
        brought = self._brought()
        needed = {one.path for one in self.needed()}
        old = [path for path in brought if "/work/" in path and path not in needed]
        if old and not self.missing():
            for path in old:
                shutil.rmtree(self.here.path / path, ignore_errors=True)
            write_json(self.here.path / BROUGHT, {path: brought[path] for path in brought if path not in old})


def _demand_own(part: Path) -> None:
    """Raises LaunchError, and removes it, when a copy holds a link to a place outside of it: rsync leaves such links
    out (`--safe-links`), but older ones overlook those that lead out by way of another."""
    for path in [part, *part.rglob("*")]:
        if path.is_symlink() and not path.resolve().is_relative_to(part.resolve() if path != part else part.parent):
            shutil.rmtree(part, ignore_errors=True)
            raise LaunchError(f"`{path}` is a link to a place outside of its folder", DISTRUST, FAILED)


class Keeper:
    """Copies checkpoints and results beside the looks, one after the other; `show` hears, once, that there is no room
    for them."""

    def __init__(self, mirror: Mirror, show: Callable[[str], None]):
        self.mirror, self.show = mirror, show
        self.thread: threading.Thread | None = None
        self.full = False

    def wake(self) -> None:
        """What is missing begins to be copied, unless that goes on already."""
        if (self.thread is None or not self.thread.is_alive()) and self.mirror.missing():
            self.thread = threading.Thread(target=self._keep, daemon=True)
            self.thread.start()

    def last(self) -> None:
        """What can still be had is here."""
        if self.thread:
            self.thread.join()
        self._keep()

    def _keep(self) -> None:
        try:
            with contextlib.suppress(Unreachable):
                self.mirror.keep()
                self.full = False
        except NoRoom as problem:
            if not self.full:
                self.show(f"not saved {problem.error}: only the machine has it")
            self.full = True
