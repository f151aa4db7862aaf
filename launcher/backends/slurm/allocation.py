"""A Slurm cluster through SkyPilot: one allocation for the whole run, which is released after it."""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.backends.base import Backend
from launcher.backends.sky.backend import Lease
from launcher.backends.sky.job import Following, SkyJob
from launcher.backends.sky.task import allocation_run, allocation_task
from launcher.backends.slurm import run_folder
from launcher.backends.slurm.batch_script import allocation_script
from launcher.backends.slurm.run_folder import RECORD, ClusterRunFolder
from launcher.clouds import skypilot
from launcher.clouds.budget import limits
from launcher.clouds.ledger import Entry
from launcher.clouds.skypilot import Patience
from launcher.config.secrets import values
from launcher.config.site import SiteFile
from launcher.config.slurm import SlurmSite, seconds
from launcher.config.yaml import load
from launcher.errors import LaunchError
from launcher.runfolder.events import Tail
from launcher.runfolder.files import write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.mirror import Mirror
from launcher.transfer.store import plan_of, read_existing


@dataclass(frozen=True)
class Allocation(Backend):
    """`root` holds recipes/ and jobs/; `show` gets the lines for the user; `wait` is for how many hours to wait in the
    queue."""

    root: Path
    site: SiteFile
    cluster: SlurmSite
    show: Callable[[str], None]
    wait: float = 0.0

    def start(self, plan: Plan, folder: RunFolder) -> SkyJob:
        shared, lease = ClusterRunFolder(plan, folder, self.cluster), self._lease(plan, folder)
        path = self.root / "jobs" / f"{plan.recipe}.yaml"
        task = allocation_task(plan, load(path), self.cluster)
        with shared.folder_lock():
            if (job := lease.working()) is not None:
                return self._followed(job, shared, lease, None)
            path_there = shared.create()
            write_json(folder.path / RECORD, {"jobs": [], "fetched": False})
            (folder.path / "slurm").mkdir(exist_ok=True)
            (folder.path / "slurm/allocation.sh").write_text(allocation_script(plan, self.cluster), encoding="utf-8")
            shared.send(["slurm/allocation.sh"], self.root)
            shared.prepare_software(self.show)
            patience = Patience(self.site.sky.start_minutes + 60 * self.wait, None)
            with shared.secrets(values(plan, self.site, os.environ)):
                shared.run_login_stages(self.show)
                with lease.machine(task, {}, patience) as (entry, _):
                    write_json(folder.limits, self._limits(lease, entry))
                    shared.login.send(folder.path, ["limits.json"], shared.there)
                    self.show("starting  the node program")
                    job = skypilot.submit(plan.run, allocation_run(plan, path_there))
        return self._followed(job, shared, lease, len(Tail(folder.events).new()))

    def find(self, folder: RunFolder) -> SkyJob | None:
        plan = read_existing(folder)
        if plan is None:
            return None
        shared, lease = ClusterRunFolder(plan, folder, self.cluster), self._lease(plan, folder)
        job = lease.working()
        return None if job is None else self._followed(job, shared, lease, None)

    def refresh(self, folder: RunFolder) -> None:
        plan = read_existing(folder)
        if plan and self._lease(plan, folder).own():
            with contextlib.suppress(LaunchError):  # whoever follows the job learns why the cluster does not answer
                _mirror(ClusterRunFolder(plan, folder, self.cluster)).refresh()

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        ClusterRunFolder(plan, folder, self.cluster).fetch()
        run_folder.sync(folder.path, values(plan, self.site, os.environ).get("WANDB_API_KEY"), self.show)

    def down(self, folder: RunFolder, why: str) -> bool:
        plan = plan_of(folder)
        ended = self._lease(plan, folder).terminate(why)
        if plan.secrets:
            ClusterRunFolder(plan, folder, self.cluster).forget()
        return ended

    def _lease(self, plan: Plan, folder: RunFolder) -> Lease:
        return Lease(plan, folder, self.show, self.wait)

    def _followed(self, job: int, shared: ClusterRunFolder, lease: Lease, before: int | None) -> SkyJob:
        every = self.cluster.every
        following = Following(("bash", "-c", STOP, "-", shared.there), every, every, GONE)
        return SkyJob(job, _mirror(shared), lease.book, self.show, before, following)

    def _limits(self, lease: Lease, entry: Entry) -> dict[str, Any]:
        """The limits of the budget, or of the allocation if that ends before."""
        now, left, stall = time.time(), lease.left(entry.price), self.cluster.stall_minutes
        if self.cluster.time:
            ends = (entry.up or now) + seconds(self.cluster.time) - now
            if left is None or ends < left:
                return {**limits(lease.plan, ends, stall, now), "reason": "time"}
        return limits(lease.plan, left, stall, now)


def _mirror(shared: ClusterRunFolder) -> Mirror:
    mirror = shared.mirror
    assert mirror  # site.yaml has a host
    return mirror


GONE = "the allocation of `{run}` has ended: its time is up, somebody cancelled it, or its node failed"
STOP = """\
cd -- "$1" && read -r job node < slurm/allocation
ask='flock --nonblock --shared "$0" true || kill -TERM "$(cat "$0")"'
srun --jobid="$job" --overlap --nodelist="$node" --nodes=1 --ntasks=1 bash -c "$ask" "$PWD/node.lock"
"""
"""Asks the node program to stop. The first argument is the run folder; the process is on the allocation's node."""
