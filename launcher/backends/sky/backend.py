"""Rented machines through SkyPilot: made, given the run folder, followed by a copy here, and ended."""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from launcher.backends.sky.handshake import Handshake
from launcher.backends.sky.job import SkyJob
from launcher.backends.sky.task import machine_task, run_task
from launcher.clouds import skypilot
from launcher.clouds.budget import limits, seconds_left
from launcher.clouds.ledger import Entry, Ledger, Reason, ledger
from launcher.clouds.machines import down, gone
from launcher.clouds.skypilot import Cluster, NoCapacity, Patience
from launcher.config.secrets import login, values
from launcher.config.site import SiteFile
from launcher.config.yaml import load
from launcher.errors import LaunchError
from launcher.images.identity import PROGRAM
from launcher.interrupts import interruptible, uninterruptible
from launcher.runfolder.events import Tail
from launcher.runfolder.files import write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.secrets import secrets_path
from launcher.transfer.bucket import BucketFolder
from launcher.transfer.mirror import Mirror
from launcher.transfer.ssh import Remote
from launcher.transfer.store import machine_path, plan_of, read_existing

AGAIN = 60.0
"""Seconds until a machine is requested again after none was free."""
PROGRESS = ("Launching on", "Instance is up", "Failed", "failover", "Retry")
"""What a line of SkyPilot's contains that a user wants to see."""


@dataclass(frozen=True)
class Sky:
    """`root` holds jobs/; `show` gets the lines for the user; `wait` is for how many hours to request a machine again
    if none is free."""

    root: Path
    site: SiteFile
    show: Callable[[str], None]
    wait: float = 0.0

    def start(self, plan: Plan, folder: RunFolder) -> SkyJob:
        lease = self._lease(plan, folder)
        path = self.root / "jobs" / f"{plan.recipe}.yaml"
        document = load(path)
        token = secrets.token_hex(8)
        machine, work = machine_task(plan, document), run_task(plan, document, token)
        registry = login(self.site, os.environ)
        task = machine if registry else machine | work  # a registry's password would be on the job's command line
        patience = Patience(self.site.sky.start_minutes, self.site.sky.idle_minutes)
        with lease.machine(task, registry, patience) as (entry, job):
            mirror = mirror_of(plan, folder)
            handshake = Handshake(mirror.remote, mirror.there)
            with handshake.upload():  # it may take longer than a machine may idle
                self._send(mirror, lease.left(entry.price))
                self.show("starting  the node program")
                if job is None:
                    job = skypilot.submit(plan.run, work)
                before = len(Tail(folder.events).new())
                handshake.start(token, job, before)
        return SkyJob(job, mirror, lease.book, self.show, before)

    def find(self, folder: RunFolder) -> SkyJob | None:
        plan = read_existing(folder)
        if plan is None:
            return None
        lease, mirror = self._lease(plan, folder), mirror_of(plan, folder)
        job, before = lease.working(), None
        if job is None:
            return None
        with contextlib.suppress(LaunchError):  # whoever follows the job learns why the machine does not answer
            if (before := Handshake(mirror.remote, mirror.there).events_before(job)) is None:
                return None  # its launch was killed before the upload was complete, or still uploads
        work = SkyJob(job, mirror, lease.book, self.show, before)
        return None if work.over else work

    def refresh(self, folder: RunFolder) -> None:
        plan = read_existing(folder)
        if plan and self._lease(plan, folder).own():
            with contextlib.suppress(LaunchError):  # whoever follows the job learns why the machine does not answer
                mirror_of(plan, folder).refresh()

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
                "launch again: stages that are done are not run again",
            )
        with mirror.remote.terminal():
            mirror.copy_export()

    def save(self, folder: RunFolder) -> LaunchError | None:
        plan = plan_of(folder)
        problem = mirror_of(plan, folder).unsaved() if self._lease(plan, folder).own() else None
        if problem is None:
            return None
        error = f"the machine keeps running: its newest files are not copied yet: {problem.error}"
        idle = self.site.sky.idle_minutes
        hint = f"{problem.hint}, and launch again: the run continues. In {idle} minutes the machine terminates itself"
        return LaunchError(error, hint, problem.code)

    def down(self, folder: RunFolder, why: str) -> bool:
        return self._lease(plan_of(folder), folder).terminate(why)

    def _lease(self, plan: Plan, folder: RunFolder) -> "Lease":
        return Lease(plan, folder, self.show, self.wait)

    def _send(self, mirror: Mirror, left: float | None) -> None:
        """Uploads the plan, its limits of `left` seconds, its inputs, what earlier machines have made, and the run's
        secrets."""
        plan, folder, remote, there = mirror.plan, mirror.here, mirror.remote, mirror.there
        write_json(folder.limits, limits(plan, left, self.site.sky.stall_minutes, time.time()))
        always = ["plan.json", "limits.json", *(["inputs"] if plan.inputs else [])]
        earlier = mirror.files_to_send()
        self.show(f"sending   {', '.join([*always, *earlier])}")
        remote.send([f"{folder.path}/./{name}" for name in always], f"{there}/", "--relative", "--checksum")
        if earlier:
            sources = [f"{folder.path}/./{name}" for name in earlier]
            remote.send(sources, f"{there}/", "--relative", "--ignore-existing")
        if plan.image and plan.image.overlay:
            for name in (*PROGRAM, *plan.code.folders):
                remote.send([f"{self.root}/./{name}"], "/opt/launcher/", "--relative", "--delete")
        if of_run := values(plan, self.site, os.environ):  # SkyPilot would put them on a command line
            leave = f"umask 077; set -C; rm -f {secrets_path(plan.run)}; cat > {secrets_path(plan.run)}"
            remote.run("sh", "-c", leave, text=json.dumps(of_run))


def mirror_of(plan: Plan, folder: RunFolder) -> Mirror:
    """The local copy `folder` of the run folder on the first node of the run's cluster. ssh knows it from SkyPilot."""
    return Mirror(plan, Remote(plan.run, skypilot.ssh_config(plan.run)), machine_path(plan.run), folder)


@dataclass(frozen=True)
class Lease:
    """A run's machine through SkyPilot: in the ledger before it is requested, and terminated if the launch fails.
    `show` gets the lines for the user; `wait` is for how many hours to request a machine again if none is free."""

    plan: Plan
    folder: RunFolder
    show: Callable[[str], None]
    wait: float = 0.0
    book: Ledger = field(default_factory=ledger)

    def own(self) -> Entry | None:
        """The entry of this run's machine. Raises LaunchError if the machine of this name belongs to another folder."""
        for entry in self.book.alive(self.plan.run):
            if entry.folder == str(self.folder.path):
                return entry
            raise LaunchError(
                f"a machine named `{self.plan.run}` belongs to the run in `{entry.folder}`",
                "choose another name: `--run NAME`",
            )
        return None

    def left(self, price: float | None) -> float | None:
        """Seconds that the budget leaves. Raises LaunchError if it leaves nothing."""
        now, run = time.time(), self.plan.run
        return seconds_left(self.plan, self.book.hours(run, now), self.book.spent(run, now), price)

    @contextlib.contextmanager
    def machine(
        self, task: Mapping[str, Any], login: Mapping[str, str], patience: Patience
    ) -> Iterator[tuple[Entry, int | None]]:
        """Requests the machine. In the block it is up and in the ledger with its price; the number is the task's job,
        if it has one. If the block fails, the machine is terminated, unless it was there before."""
        self.left(None)
        before = self.own()
        entry = before or self.book.begin(self.plan.run, self.plan.machine.cloud, self.folder.path, time.time())
        try:
            with interruptible():
                made = self._request(task, login, patience)
                yield self._record(entry, made), made.job
        except BaseException as problem:
            with uninterruptible(), contextlib.suppress(LaunchError):  # the ledger shows what was not terminated
                if isinstance(problem, NoCapacity) and not problem.tried and not before:
                    self.book.close(entry, Reason.NOT_ASKED_FOR)
                elif not before:  # an old machine may hold the only copy of a checkpoint; `launch` says what it costs
                    down(self.book, self.plan.run, f"{type(problem).__name__} at the launch")
            raise

    def working(self) -> int | None:
        """The number of the job that works on the run's machine; None if none does. If the machine is gone, the ledger
        notes that."""
        entry = self.own()
        if entry is None:
            return None
        try:
            return skypilot.working(self.plan.run)
        except LaunchError:  # it does not answer: a job there could not be followed
            if skypilot.state(self.plan.run) is None:
                with contextlib.suppress(LaunchError):  # its provider does not answer: the entry stays alive
                    gone(self.book, entry, Reason.ENDED_BEFORE)
            return None

    def terminate(self, why: str) -> bool:
        """Terminates the run's machine. Returns whether there was one. Raises LaunchError if one may be left."""
        with uninterruptible():
            alive = self.book.alive(self.plan.run)
            if alive:
                down(self.book, self.plan.run, why)
        return bool(alive)

    def _request(self, task: Mapping[str, Any], login: Mapping[str, str], patience: Patience) -> Cluster:
        until = time.monotonic() + self.wait * 3600
        with open(self.folder.path / "launch.log", "a", encoding="utf-8") as log:

            def show_progress(line: str) -> None:
                log.write(f"{line}\n")
                log.flush()
                if any(phrase in line for phrase in PROGRESS):
                    self.show(f"sky       {line.lstrip('⚙︎└├─ ')}")

            while True:
                try:
                    return skypilot.launch(self.plan.run, task, login, patience, show_progress)
                except NoCapacity as problem:
                    if time.monotonic() + AGAIN > until:
                        raise
                    self.show(f"waiting   {problem.error}")
                    time.sleep(AGAIN)

    def _record(self, entry: Entry, made: Cluster) -> Entry:
        price = {None: ", price unknown", 0.0: ""}.get(made.price, f", ${made.price or 0:.2f}/h")
        self.show(f"machine   {made.cloud} {made.region}, {made.machine}{price}")
        return self.book.write(
            replace(
                entry,
                cloud=made.cloud,
                region=made.region,
                machine=made.machine,
                price=made.price,
                up=entry.up or time.time(),
            )
        )
