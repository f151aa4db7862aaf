"""A run's bucket, as the laptop reads it: what it has, and copies of it once the machine is gone."""

import json
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.errors import FAILED, LaunchError
from launcher.runfolder.bucket_index import Entry, holds, read_index, write_index
from launcher.runfolder.plan import Bucket
from launcher.runfolder.rclone import StoreError, command, environment, failure, missing_rclone, remote

STATS = ["--use-json-log", "--stats", "0.5s", "--stats-log-level", "NOTICE"]


@dataclass(frozen=True)
class BucketFolder:
    """A run's folder in a bucket, read with the values of the plan's `secrets`. Each method raises LaunchError if the
    bucket cannot be read."""

    bucket: Bucket
    run: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def index(self) -> tuple[Entry, ...]:
        """What the bucket has of the run."""
        try:
            return read_index(self.bucket, self.run, self.secrets)
        except StoreError as problem:
            raise self._sentence(problem) from None

    def fetch(self, what: str, target: Path, moved: Callable[[int], None]) -> Entry:
        """Copies `what` of the run folder (`export`, `manifest.json`) to `target`, and compares it with the index. It
        continues a copy that was cut off. `moved` gets numbers of bytes."""
        entry = next((entry for entry in self.index() if entry.path == what), None)
        where = f"`{self.bucket.url}`"
        if entry is None:
            raise LaunchError(f"{where} holds no `{what}` of run `{self.run}`", "`launcher status` shows how far it is")
        target.parent.mkdir(parents=True, exist_ok=True)
        verb = "copyto" if "" in entry.files else "sync"
        self._rclone([verb, "--checksum", remote(self.bucket, self.run, what), str(target)], moved)
        if not holds(target, entry):
            hint = f"remove `{target}` and fetch it again"
            raise LaunchError(f"`{target}` is not what {where} says it holds", hint, FAILED)
        return entry

    def forget(self, stages: Collection[str]) -> None:
        """Removes these stages and the export from the index. A redo does this first, because the node program would
        copy them back."""
        entries = self.index()
        left = tuple(entry for entry in entries if entry.stage not in (None, *stages) and entry.path != "export")
        if left == entries:
            return
        try:
            write_index(self.bucket, self.run, left, self.secrets)
        except StoreError as problem:
            raise self._sentence(problem) from None

    def _rclone(self, arguments: list[str], moved: Callable[[int], None]) -> None:
        """Runs rclone. Its statistics, one JSON object a line, say how many bytes it has copied."""
        argv = command(self.bucket, [*arguments, *STATS])
        try:
            process = subprocess.Popen(argv, env=environment(self.secrets), stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            raise self._sentence(missing_rclone()) from None
        before, lines = 0, []
        with process:
            assert process.stderr
            for line in process.stderr:
                try:
                    value = json.loads(line)
                except ValueError:
                    lines.append(line)
                    continue
                bytes = value.get("stats", {}).get("bytes")
                if bytes is None:
                    lines.append(f"{value.get('msg')}\n")
                elif bytes > before:
                    moved(bytes - before)
                    before = bytes
        if process.returncode:
            raise self._sentence(failure("".join(lines)))

    def _sentence(self, problem: StoreError) -> LaunchError:
        return LaunchError(f"`{self.bucket.url}`: {problem}", problem.hint, FAILED)
