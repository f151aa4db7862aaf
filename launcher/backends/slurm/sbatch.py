"""A Slurm cluster through sbatch: jobs submitted once, each after the one before it; the laptop only looks."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launcher.backends.slurm import queue, run_folder
from launcher.backends.slurm.job import SUBMIT, Queued, files, write
from launcher.backends.slurm.run_folder import Shared
from launcher.config.secrets import values
from launcher.config.site import SiteFile
from launcher.config.slurm import SlurmSite
from launcher.errors import LaunchError
from launcher.runfolder.files import read_json, write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.store import plan_of


@dataclass(frozen=True)
class Slurm:
    """`root` holds recipes/; `show` hears why a run waits."""

    root: Path
    site: SiteFile
    cluster: SlurmSite
    show: Callable[[str], None]

    def start(self, plan: Plan, folder: RunFolder) -> Queued:
        shared = Shared(plan, folder, self.cluster)
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
        work = Queued(shared, jobs, self.show)
        numbers = [f"{job.number} ({queue.stage_of(job.name)})" for job in work.look(anew=True).jobs]
        self.show(f"submitted {', '.join(numbers)}")
        return work

    def find(self, folder: RunFolder) -> Queued | None:
        """A run whose jobs are not all over, or whose result is not here yet. What a submission that was cut off left
        out is submitted first."""
        return self._found(folder, anew=False)

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        shared = Shared(plan, folder, self.cluster)
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
            Shared(plan, folder, self.cluster).forget(*active)

    def _found(self, folder: RunFolder, anew: bool) -> Queued | None:
        known = read_json(folder.path / "slurm.json")
        if not isinstance(known, dict):
            return None
        shared = Shared(plan_of(folder), folder, self.cluster)
        work = Queued(shared, tuple(known["jobs"]), self.show)
        found = work.look(anew)
        if found.finished and not known.get("fetched"):
            return work
        if not found.goes_on:
            return None
        if any(job.number is None for job in found.jobs) and not found.trouble:
            self._submit(shared)
            work.look(anew=True)
        return work

    def _submit(self, shared: Shared) -> None:
        shared.login.said(SUBMIT, shared.there, timeout=600)
