"""A Slurm cluster through SkyPilot: an allocation is held while the run lasts, and ended after it."""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.backends.sky.job import SkyJob, Ways
from launcher.backends.sky.lease import Lease
from launcher.backends.sky.task import held_run, held_task
from launcher.backends.slurm import run_folder
from launcher.backends.slurm.batch_script import held_script
from launcher.backends.slurm.run_folder import ClusterRunFolder
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
class Held:
    """`root` holds recipes/ and jobs/; `show` hears what happens; `wait` is for how many hours to wait in the queue."""

    root: Path
    site: SiteFile
    cluster: SlurmSite
    show: Callable[[str], None]
    wait: float = 0.0

    def start(self, plan: Plan, folder: RunFolder) -> SkyJob:
        shared, renting = ClusterRunFolder(plan, folder, self.cluster), self._renting(plan, folder)
        path = self.root / "jobs" / f"{plan.recipe}.yaml"
        task = held_task(plan, load(path), self.cluster)
        with shared.alone():
            if (job := renting.working()) is not None:
                return self._followed(job, shared, renting, None)
            place = shared.place()
            write_json(folder.path / "slurm.json", {"jobs": [], "fetched": False})
            (folder.path / "slurm").mkdir(exist_ok=True)
            (folder.path / "slurm/held.sh").write_text(held_script(plan, self.cluster), encoding="utf-8")
            shared.send(["slurm/held.sh"], self.root)
            shared.equip(self.show)
            patience = Patience(self.site.sky.start_minutes + 60 * self.wait, None)
            with shared.secret(values(plan, self.site, os.environ)):
                shared.carry_out(self.show)
                with renting.machine(task, {}, patience) as (entry, _):
                    write_json(folder.limits, self._limits(renting, entry))
                    shared.login.send(folder.path, ["limits.json"], shared.there)
                    self.show("starting  the node program")
                    job = skypilot.submit(plan.run, held_run(plan, place))
        return self._followed(job, shared, renting, len(Tail(folder.events).new()))

    def find(self, folder: RunFolder) -> SkyJob | None:
        plan = read_existing(folder)
        if plan is None:
            return None
        shared, renting = ClusterRunFolder(plan, folder, self.cluster), self._renting(plan, folder)
        if renting.own():
            with contextlib.suppress(LaunchError):
                _mirror(shared).refresh()
        job = renting.working()
        return None if job is None else self._followed(job, shared, renting, None)

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        ClusterRunFolder(plan, folder, self.cluster).fetch()
        run_folder.sync(folder.path, values(plan, self.site, os.environ).get("WANDB_API_KEY"), self.show)

    def unsaved(self, folder: RunFolder) -> LaunchError | None:
        """The cluster keeps it."""
        return None

    def down(self, folder: RunFolder, why: str) -> None:
        plan = plan_of(folder)
        self._renting(plan, folder).down(why)
        if plan.secrets:
            ClusterRunFolder(plan, folder, self.cluster).forget()

    def _renting(self, plan: Plan, folder: RunFolder) -> Lease:
        return Lease(plan, folder, self.show, self.wait)

    def _followed(self, job: int, shared: ClusterRunFolder, renting: Lease, before: int | None) -> SkyJob:
        every = self.cluster.every
        ways = Ways(("bash", "-c", STOP, "-", shared.there), every, every, GONE)
        return SkyJob(job, _mirror(shared), renting.book, self.show, before, ways)

    def _limits(self, renting: Lease, entry: Entry) -> dict[str, Any]:
        """The budget's, or the allocation's where that ends before."""
        now, left, stall = time.time(), renting.left(entry.price), self.cluster.stall_minutes
        if self.cluster.time:
            ends = (entry.up or now) + seconds(self.cluster.time) - now
            if left is None or ends < left:
                return {**limits(renting.plan, ends, stall, now), "reason": "time"}
        return limits(renting.plan, left, stall, now)


def _mirror(shared: ClusterRunFolder) -> Mirror:
    mirror = shared.mirror
    assert mirror  # site.yaml has a host
    return mirror


GONE = "the allocation of `{run}` has ended: its time is up, somebody cancelled it, or its node failed"
STOP = """\
cd -- "$1" && read -r job node < slurm/held
ask='flock --nonblock --shared "$0" true || kill -TERM "$(cat "$0")"'
srun --jobid="$job" --overlap --nodelist="$node" --nodes=1 --ntasks=1 bash -c "$ask" "$PWD/node.lock"
"""
"""Asks the node program of the run folder, the first argument, to stop: its process is one of the allocation's node."""
