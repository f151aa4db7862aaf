"""Rented machines through SkyPilot: made, given the run folder, followed by a copy here, and ended."""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launcher.backends.sky.handshake import Handshake
from launcher.backends.sky.job import SkyJob
from launcher.backends.sky.lease import Lease
from launcher.backends.sky.task import machine_task, run_task
from launcher.clouds import skypilot
from launcher.clouds.budget import limits
from launcher.clouds.ledger import ledger
from launcher.clouds.skypilot import Patience
from launcher.config.secrets import login, values
from launcher.config.site import SiteFile
from launcher.config.yaml import load
from launcher.errors import LaunchError
from launcher.images.identity import PROGRAM
from launcher.runfolder.events import Tail
from launcher.runfolder.files import write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.secrets import secrets_path
from launcher.transfer.bucket import BucketFolder
from launcher.transfer.mirror import Mirror
from launcher.transfer.ssh import Remote
from launcher.transfer.store import machine_path, plan_of, read_existing


@dataclass(frozen=True)
class Sky:
    """`root` holds jobs/; `show` hears what happens while a machine is made; `wait` is how many hours to ask again
    where there is no capacity."""

    root: Path
    site: SiteFile
    show: Callable[[str], None]
    wait: float = 0.0

    def start(self, plan: Plan, folder: RunFolder) -> SkyJob:
        renting = self._renting(plan, folder)
        path = self.root / "jobs" / f"{plan.recipe}.yaml"
        document = load(path)
        word = secrets.token_hex(8)
        machine, work = machine_task(plan, document), run_task(plan, document, word)
        registry = login(self.site, os.environ)
        task = machine if registry else machine | work  # a job would hear a registry's password on its command line
        patience = Patience(self.site.sky.start_minutes, self.site.sky.idle_minutes)
        with renting.machine(task, registry, patience) as (entry, job):
            mirror = mirror_of(plan, folder)
            turn = Handshake(mirror.remote, mirror.there)
            with turn.awaited():  # an upload may take longer than a machine may idle
                self._send(mirror, renting.left(entry.price))
                self.show("starting  the node program")
                if job is None:
                    job = skypilot.submit(plan.run, work)
                before = len(Tail(folder.events).new())
                turn.give(word, job, before)
        return SkyJob(job, mirror, renting.book, self.show, before)

    def find(self, folder: RunFolder) -> SkyJob | None:
        plan = read_existing(folder)
        if plan is None:
            return None
        renting, mirror = self._renting(plan, folder), mirror_of(plan, folder)
        job, before = renting.working(), None
        if job is None and not renting.own():
            return None
        with contextlib.suppress(LaunchError):  # who follows the job will see what the matter is
            mirror.refresh()  # also at what was said while nobody followed
            if job and (before := Handshake(mirror.remote, mirror.there).given(job)) is None:
                return None  # its launch was killed before all was sent, or still sends
        work = SkyJob(job, mirror, renting.book, self.show, before) if job else None
        return None if work and work.over else work

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        mirror = mirror_of(plan, folder)
        if mirror.has_export():
            return
        if not ledger().alive(plan.run):
            if plan.bucket:
                stored = BucketFolder(plan.bucket, plan.run, values(plan, self.site, os.environ))
                stored.fetch("export", folder.export, lambda _: None)
                stored.fetch("manifest.json", folder.manifest, lambda _: None)
                return
            raise LaunchError(
                f"the export of run `{plan.run}` is not here, and its machine is gone",
                "launch again: what is done is not done again",
            )
        with mirror.remote.terminal():
            mirror.copy_export()

    def unsaved(self, folder: RunFolder) -> LaunchError | None:
        plan = plan_of(folder)
        problem = mirror_of(plan, folder).unsaved() if self._renting(plan, folder).own() else None
        if problem is None:
            return None
        error = f"the machine keeps running: its newest files are not copied yet: {problem.error}"
        idle = self.site.sky.idle_minutes
        hint = f"{problem.hint}, and launch again: the run continues. In {idle} minutes the machine terminates itself"
        return LaunchError(error, hint, problem.code)

    def down(self, folder: RunFolder, why: str) -> None:
        self._renting(plan_of(folder), folder).down(why)

    def _renting(self, plan: Plan, folder: RunFolder) -> Lease:
        return Lease(plan, folder, self.show, self.wait)

    def _send(self, mirror: Mirror, left: float | None) -> None:
        """The machine has the plan, its limits of `left` seconds, its inputs, what earlier machines had done, and the
        run's secrets."""
        plan, folder, remote, there = mirror.plan, mirror.here, mirror.remote, mirror.there
        write_json(folder.limits, limits(plan, left, self.site.sky.stall_minutes, time.time()))
        always = ["plan.json", "limits.json", *(["inputs"] if plan.inputs else [])]
        kept = mirror.files_to_send()
        self.show(f"sending   {', '.join([*always, *kept])}")
        remote.send([f"{folder.path}/./{name}" for name in always], f"{there}/", "--relative", "--checksum")
        if kept:
            here = [f"{folder.path}/./{name}" for name in kept]
            remote.send(here, f"{there}/", "--relative", "--ignore-existing")
        if plan.image and plan.image.overlay:
            for name in (*PROGRAM, *plan.code.folders):
                remote.send([f"{self.root}/./{name}"], "/opt/launcher/", "--relative", "--delete")
        if given := values(plan, self.site, os.environ):  # SkyPilot would put them on a command line
            leave = f"umask 077; set -C; rm -f {secrets_path(plan.run)}; cat > {secrets_path(plan.run)}"
            remote.run("sh", "-c", leave, text=json.dumps(given))


def mirror_of(plan: Plan, folder: RunFolder) -> Mirror:
    """What `folder` has of the run folder on the head of the run's cluster, which ssh knows from SkyPilot."""
    return Mirror(plan, Remote(plan.run, skypilot.ssh_config(plan.run)), machine_path(plan.run), folder)
