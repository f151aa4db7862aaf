"""A run's jobs in a queue. The scheduler is asked no more often than the site allows, by however many programs look."""

import contextlib
import os
import time
from collections.abc import Callable

from launcher.backends.base import End
from launcher.backends.slurm import queue, submissions, verdict
from launcher.backends.slurm.queue import Answer
from launcher.backends.slurm.run_folder import Shared
from launcher.transfer.ssh import Unreachable

GLANCE = 2.0
"""Seconds between two looks at files of the run, which ask the scheduler nothing."""


class Queued:
    """`show` hears why the run waits."""

    def __init__(self, shared: Shared, jobs: tuple[str, ...], show: Callable[[str], None]):
        self.shared, self.jobs, self.show = shared, jobs, show
        self.seen = shared.here.path / "slurm" / "seen.txt"
        self.told = ""
        self.glanced = 0.0

    def end(self) -> End | None:
        if time.monotonic() - self.glanced < GLANCE:
            return None
        self.glanced = time.monotonic()
        try:
            found = self.look()
        except Unreachable as problem:
            self._tell(f"{problem.error}; the run goes on without us")
            return None
        ended = verdict.end(found)
        self._tell((verdict.says(found) if ended is None else verdict.never_started(found)) or "")
        return ended

    def stop(self, patience: float) -> bool:
        waiting = [job for job in self.look(anew=True).jobs if job.active and job.number]
        words = [word for job in waiting for word in (job.name, str(job.number))]
        self.shared.login.said(submissions.STOP, self.shared.there, *words)
        end = time.monotonic() + patience
        while verdict.end(self.look()) is None:
            if time.monotonic() > end:
                return False
            time.sleep(GLANCE)
        return True

    def note(self) -> str | None:
        """Why nothing runs, in words; None when something does."""
        return verdict.says(self.look())

    def look(self, anew: bool = False) -> Answer:
        """What is known of the jobs; events and logs are as they were there at that time. Raises Unreachable."""
        with contextlib.suppress(OSError):
            age = time.time() - self.seen.stat().st_mtime
            if not anew and 0 <= age < self.shared.cluster.every:  # a clock that was set back makes it negative
                return queue.answer(self.jobs, self.seen.read_text(encoding="utf-8"))
        text = self.shared.login.said(queue.question(self.jobs), self.shared.there)
        if mirror := self.shared.mirror:
            mirror.look()
        part = self.seen.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, self.seen)
        return queue.answer(self.jobs, text)

    def _tell(self, text: str) -> None:
        if text and text != self.told:
            self.show(text)
        self.told = text
