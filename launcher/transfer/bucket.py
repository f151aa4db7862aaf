"""The laptop's look into a run's bucket: what it holds, and what of it is brought here once the machine is gone."""

import json
import shutil
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.errors import FAILED, LaunchError
from launcher.runfolder.bucket_index import Entry, holds, read_index, write_index
from launcher.runfolder.plan import Bucket
from launcher.runfolder.rclone import StoreError, absent, command, environment, failure, remote

STATS = ["--use-json-log", "--stats", "0.5s", "--stats-log-level", "NOTICE"]


@dataclass(frozen=True)
class Stored:
    """A run's place in a bucket, opened with the values of the plan's `secrets`. Each method raises LaunchError when
    it cannot be read."""

    bucket: Bucket
    run: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def index(self) -> tuple[Entry, ...]:
        """What the bucket holds of the run."""
        try:
            return read_index(self.bucket, self.run, self.secrets)
        except StoreError as problem:
            raise self._sentence(problem) from None

    def fetch(self, what: str, target: Path, moved: Callable[[int], None]) -> Entry:
        """`target` is what the run folder has, or had, at `what` (`export`, `manifest.json`), as the bucket's index
        says; a fetch that was cut off goes on. `moved` hears of bytes."""
        one = next((one for one in self.index() if one.path == what), None)
        where = f"`{self.bucket.url}`"
        if one is None:
            raise LaunchError(f"{where} holds no `{what}` of run `{self.run}`", "`launcher status` shows how far it is")
        target.parent.mkdir(parents=True, exist_ok=True)
        verb = "copyto" if "" in one.files else "sync"
        self._rclone([verb, "--checksum", remote(self.bucket, self.run, what), str(target)], moved)
        if not holds(target, one):
            hint = f"remove `{target}` and fetch it again"
            raise LaunchError(f"`{target}` is not what {where} says it holds", hint, FAILED)
        return one

    def look(self, name: str, target: Path) -> bool:
        """`target` is the last copy of a small file, such as `events.jsonl`, if the bucket has one."""
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        self._rclone(["copy", remote(self.bucket, self.run), str(part), "--include", f"/{name}"], lambda _: None)
        found = (part / name).exists()
        if found:
            (part / name).replace(target)
        shutil.rmtree(part, ignore_errors=True)
        return found

    def forget(self, stages: Collection[str]) -> None:
        """The bucket no longer holds anything of these stages, nor an export: for a redo, before a node program starts,
        which would bring it all back."""
        entries = self.index()
        left = tuple(
            one for one in entries if one.stage is not None and one.stage not in stages and one.path != "export"
        )
        if left == entries:
            return
        try:
            write_index(self.bucket, self.run, left, self.secrets)
        except StoreError as problem:
            raise self._sentence(problem) from None

    def _rclone(self, words: list[str], moved: Callable[[int], None]) -> None:
        """Runs it; its statistics, a JSON object a line, tell how much has moved."""
        argv = command(self.bucket, [*words, *STATS])
        try:
            process = subprocess.Popen(argv, env=environment(self.secrets), stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            raise self._sentence(absent()) from None
        before, said = 0, []
        with process:
            assert process.stderr
            for line in process.stderr:
                try:
                    value = json.loads(line)
                except ValueError:
                    said.append(line)
                    continue
                bytes = value.get("stats", {}).get("bytes")
                if bytes is None:
                    said.append(f"{value.get('msg')}\n")
                elif bytes > before:
                    moved(bytes - before)
                    before = bytes
        if process.returncode:
            raise self._sentence(failure(self.bucket, "".join(said)))

    def _sentence(self, problem: StoreError) -> LaunchError:
        return LaunchError(f"`{self.bucket.url}`: {problem}", problem.hint, FAILED)
