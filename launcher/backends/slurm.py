"""A Slurm cluster through sbatch: jobs submitted once, each after the one before it; the laptop only looks."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher import environment, squeue, submissions, verdict
from launcher.backend import End
from launcher.batch import CODE
from launcher.errors import LaunchError
from launcher.login import Login, login_of
from launcher.mirror import Mirror
from launcher.node.files import read_json, write_json
from launcher.node.folder import RunFolder
from launcher.node.records import Plan
from launcher.remote import Unreachable
from launcher.scheduler import SlurmSite
from launcher.secrets import values
from launcher.site import SiteFile
from launcher.squeue import Answer
from launcher.store import plan_of

GLANCE = 2.0
"""Seconds between two looks at files of the run, which ask the scheduler nothing."""


@dataclass(frozen=True)
class Slurm:
    """`root` holds recipes/; `show` hears why a run waits."""

    root: Path
    site: SiteFile
    cluster: SlurmSite
    show: Callable[[str], None]

    @property
    def login(self) -> Login:
        return login_of(self.cluster)

    def there(self, folder: RunFolder) -> str:
        """The run folder as the login node sees it."""
        return f"{self.cluster.folder}/{folder.path.name}" if self.cluster.host else str(folder.path)

    def start(self, plan: Plan, folder: RunFolder) -> "SlurmWork":
        with _alone(folder):
            if work := self._found(folder, anew=True):
                return work
            self._stage(plan, folder)
            submission = submissions.write(plan, self.cluster, folder, self.root)
            self.login.send(folder.path, submission.files, self.there(folder))
            self._equip(plan, folder)
            if given := values(plan, self.site, os.environ):
                self.login.said(submissions.kept_secret(given), self.there(folder))
            self._submit(folder)
        work = SlurmWork(plan, folder, self, submission.jobs)
        numbers = [f"{job.number} ({verdict.stage_of(job.name)})" for job in work.look(anew=True).jobs]
        self.show(f"submitted {', '.join(numbers)}")
        return work

    def find(self, folder: RunFolder) -> "SlurmWork | None":
        """A run whose jobs are not all over, or whose result is not here yet. What a submission that was cut off left
        out is submitted first."""
        return self._found(folder, anew=False)

    def _found(self, folder: RunFolder, anew: bool) -> "SlurmWork | None":
        known = read_json(folder.path / "slurm.json")
        if not isinstance(known, dict):
            return None
        work = SlurmWork(plan_of(folder), folder, self, tuple(known["jobs"]))
        found = work.look(anew)
        if found.finished and not known.get("fetched"):
            return work
        if not found.goes_on:
            return None
        if any(job.number is None for job in found.jobs) and not found.trouble:
            self._submit(folder)
            work.look(anew=True)
        return work

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        mirror = self.mirror(plan, folder)
        if mirror is None:
            return
        with _alone(folder):
            if not mirror.has_export():
                proofs = ["--include=/stages/", "--include=/stages/*/", "--include=/stages/*/done.json", "--exclude=*"]
                mirror.remote.fetch(f"{mirror.there}/", folder.path, *proofs)
                mirror.export()
            known = read_json(folder.path / "slurm.json")
            write_json(folder.path / "slurm.json", {**known, "fetched": True})

    def down(self, folder: RunFolder, why: str) -> None:
        """No job of the run is left in the queue, and no secret in its folder there."""
        work = self.find(folder)
        if work or plan_of(folder).secrets:
            active = [job.number for job in work.look().jobs if job.active and job.number] if work else []
            self.login.said(submissions.DOWN, self.there(folder), *active)

    def mirror(self, plan: Plan, folder: RunFolder) -> Mirror | None:
        """What copies the run folder here; None where it is here."""
        remote = self.login.remote
        return Mirror(plan, remote, self.there(folder), folder) if remote else None

    def _stage(self, plan: Plan, folder: RunFolder) -> None:
        """The run folder is there. What was set aside here is set aside there. Raises LaunchError when a run is there
        that is not known here."""
        aside = [one.name for one in folder.path.glob("stages/*.*")]
        known = "yes" if (folder.path / "slurm.json").exists() else "no"
        said = self.login.said(submissions.PLACE, self.there(folder), known if self.login.remote else "yes", *aside)
        if said.strip() == "foreign":
            raise LaunchError(
                f"`{self.cluster.host}` has a run `{plan.run}` in `{self.cluster.folder}` that was not launched here",
                "`--run NAME` starts another run",
            )

    def _equip(self, plan: Plan, folder: RunFolder) -> None:
        """The Python that the jobs use is there."""
        if self.cluster.python:
            return
        runs, place = self.there(folder).rpartition("/")[0], environment.beside(plan)
        if self.login.said(environment.LOOK, f"{runs}/{place}"):
            return
        self.show(
            f"making    the environment {runs}/{place}, once for all runs with these packages; this takes minutes"
        )
        lock = f"{folder.path.name}/{CODE}/locks/{environment.variant(plan)}"
        index = self.cluster.torch_index or ""
        self.login.said(environment.MAKE, runs, place, lock, self.cluster.interpreter, index, timeout=3600)

    def _submit(self, folder: RunFolder) -> None:
        self.login.said('bash "$1/slurm/submit.sh"', self.there(folder), timeout=600)


class SlurmWork:
    """A run's jobs. The scheduler is asked no more often than the site allows, by however many programs look."""

    def __init__(self, plan: Plan, folder: RunFolder, backend: Slurm, jobs: tuple[str, ...]):
        self.plan, self.folder, self.backend, self.jobs = plan, folder, backend, jobs
        self.seen = folder.path / "slurm" / "seen.txt"
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
        self.backend.login.said(submissions.STOP, self.backend.there(self.folder), *words)
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
            if not anew and time.time() - self.seen.stat().st_mtime < self.backend.cluster.every:
                return squeue.answer(self.jobs, self.seen.read_text(encoding="utf-8"))
        text = self.backend.login.said(squeue.question(self.jobs), self.backend.there(self.folder))
        if mirror := self.backend.mirror(self.plan, self.folder):
            mirror.look()
        part = self.seen.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, self.seen)
        return squeue.answer(self.jobs, text)

    def _tell(self, text: str) -> None:
        if text and text != self.told:
            self.backend.show(text)
        self.told = text


@contextlib.contextmanager
def _alone(folder: RunFolder) -> Iterator[None]:
    """No other launcher here submits this run meanwhile."""
    with open(folder.path / ".submitting", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
