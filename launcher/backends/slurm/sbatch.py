"""A Slurm cluster through sbatch: jobs submitted once, each after the one before it; the laptop only looks, and no more
often than the site allows, by however many programs look."""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.backends.base import End
from launcher.backends.slurm import batch_script, queue, run_folder
from launcher.backends.slurm.groups import job_groups, job_name
from launcher.backends.slurm.queue import Answer
from launcher.backends.slurm.run_folder import ClusterRunFolder
from launcher.config.secrets import values
from launcher.config.site import SiteFile
from launcher.config.slurm import SlurmSite
from launcher.errors import LaunchError
from launcher.runfolder.files import read_json, write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.ssh import Unreachable
from launcher.transfer.store import plan_of

GLANCE = 2.0
"""Seconds between two looks at files of the run, which ask the scheduler nothing."""
SUBMIT = 'bash "$1/slurm/submit.sh"'


class SbatchRun:
    """`show` hears why the run waits."""

    def __init__(self, shared: ClusterRunFolder, jobs: tuple[str, ...], show: Callable[[str], None]):
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
            self._tell(f"{problem.error}; the run continues by itself")
            return None
        ended = queue.end(found)
        self._tell((queue.says(found) if ended is None else queue.never_started(found)) or "")
        return ended

    def stop(self, patience: float) -> bool:
        waiting = [job for job in self.look(anew=True).jobs if job.active and job.number]
        words = [word for job in waiting for word in (job.name, str(job.number))]
        self.shared.login.said(STOP, self.shared.there, *words)
        end = time.monotonic() + patience
        while queue.end(self.look()) is None:
            if time.monotonic() > end:
                return False
            time.sleep(GLANCE)
        return True

    def note(self) -> str | None:
        """Why nothing runs, in words; None when something does."""
        return queue.says(self.look())

    def look(self, anew: bool = False) -> Answer:
        """What is known of the jobs; events and logs are as they were there at that time. Raises Unreachable."""
        with contextlib.suppress(OSError):
            age = time.time() - self.seen.stat().st_mtime
            if not anew and 0 <= age < self.shared.cluster.every:  # a clock that was set back makes it negative
                return queue.answer(self.jobs, self.seen.read_text(encoding="utf-8"))
        text = self.shared.login.said(queue.question(self.jobs), self.shared.there)
        if mirror := self.shared.mirror:
            mirror.refresh()
        part = self.seen.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, self.seen)
        return queue.answer(self.jobs, text)

    def _tell(self, text: str) -> None:
        if text and text != self.told:
            self.show(text)
        self.told = text


@dataclass(frozen=True)
class Slurm:
    """`root` holds recipes/; `show` hears why a run waits."""

    root: Path
    site: SiteFile
    cluster: SlurmSite
    show: Callable[[str], None]

    def start(self, plan: Plan, folder: RunFolder) -> SbatchRun:
        shared = ClusterRunFolder(plan, folder, self.cluster)
        with shared.alone():
            if work := self._found(folder, anew=True):
                return work
            shared.place()
            jobs = write(plan, self.cluster, folder.path)
            shared.send(files(jobs), self.root)
            shared.equip(self.show)
            with shared.secret(values(plan, self.site, os.environ)):
                shared.carry_out(self.show)
            self._submit(shared)
        work = SbatchRun(shared, jobs, self.show)
        numbers = [f"{job.number} ({queue.stage_of(job.name)})" for job in work.look(anew=True).jobs]
        self.show(f"submitted {', '.join(numbers)}")
        return work

    def find(self, folder: RunFolder) -> SbatchRun | None:
        """A run whose jobs are not all over, or whose result is not here yet. What a submission that was cut off left
        out is submitted first."""
        return self._found(folder, anew=False)

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        shared = ClusterRunFolder(plan, folder, self.cluster)
        if shared.mirror is None:
            return
        with shared.alone():
            shared.fetch()
            run_folder.sync(folder.path, values(plan, self.site, os.environ).get("WANDB_API_KEY"), self.show)
            known = read_json(folder.path / "slurm.json")
            write_json(folder.path / "slurm.json", {**known, "fetched": True})

    def unsaved(self, folder: RunFolder) -> LaunchError | None:
        """The cluster keeps it."""
        return None

    def down(self, folder: RunFolder, why: str) -> None:
        """No job of the run is left in the queue, and no secret in its folder there."""
        plan, work = plan_of(folder), self.find(folder)
        if work or plan.secrets:
            active = [job.number for job in work.look().jobs if job.active and job.number] if work else []
            ClusterRunFolder(plan, folder, self.cluster).forget(*active)

    def _found(self, folder: RunFolder, anew: bool) -> SbatchRun | None:
        known = read_json(folder.path / "slurm.json")
        if not isinstance(known, dict):
            return None
        shared = ClusterRunFolder(plan_of(folder), folder, self.cluster)
        work = SbatchRun(shared, tuple(known["jobs"]), self.show)
        found = work.look(anew)
        if found.finished and not known.get("fetched"):
            return work
        if not found.goes_on:
            return None
        if any(job.number is None for job in found.jobs) and not found.trouble:
            self._submit(shared)
            work.look(anew=True)
        return work

    def _submit(self, shared: ClusterRunFolder) -> None:
        shared.login.said(SUBMIT, shared.there, timeout=600)


def write(plan: Plan, site: SlurmSite, folder: Path) -> tuple[str, ...]:
    """The run folder holds the jobs' scripts and their names, which are new; the names, in order."""
    mark = secrets.token_hex(3)
    groups = job_groups(plan, site)
    jobs = tuple(job_name(plan, group, mark) for group in groups)
    scripts = {job: batch_script.script(plan, group, site, job) for job, group in zip(jobs, groups, strict=True)}
    (folder / "slurm").mkdir(exist_ok=True)
    for name, text in {**scripts, "submit": batch_script.submission(jobs)}.items():
        (folder / f"slurm/{name}.sh").write_text(text, encoding="utf-8")
    write_json(folder / "slurm.json", {"jobs": list(jobs), "fetched": site.host is None})
    return jobs


def files(jobs: Sequence[str]) -> list[str]:
    """What the jobs need of the run folder."""
    return [f"slurm/{name}.sh" for name in (*jobs, "submit")]


STOP = """\
cd -- "$1"
shift
while [ $# -gt 0 ]; do
    touch "slurm/$1.stop"
    scancel --quiet --state=PENDING "$2" || true
    scancel --quiet --state=RUNNING --signal=TERM --batch "$2" || true
    shift 2
done
"""
