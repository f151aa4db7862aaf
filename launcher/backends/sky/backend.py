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
from launcher.clouds.ledger import Entry, Ledger, ledger
from launcher.clouds.machines import down, gone
from launcher.clouds.skypilot import Made, NoCapacity, Patience
from launcher.config.secrets import login, values
from launcher.config.site import SiteFile
from launcher.config.yaml import load
from launcher.errors import LaunchError
from launcher.images.identity import PROGRAM
from launcher.interrupts import interruptible, undisturbed
from launcher.runfolder import secrets as run_secrets
from launcher.runfolder.events import Tail
from launcher.runfolder.files import write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.bucket import Stored
from launcher.transfer.mirror import Mirror
from launcher.transfer.ssh import Remote
from launcher.transfer.store import place_of, plan_of, read_existing

AGAIN = 60.0
"""Seconds between questions for a machine where none was to be had."""


@dataclass(frozen=True)
class Sky:
    """`root` holds jobs/; `show` hears what happens while a machine is made; `wait` is how many hours to ask again
    where there is no capacity."""

    root: Path
    site: SiteFile
    show: Callable[[str], None]
    wait: float = 0.0

    def start(self, plan: Plan, folder: RunFolder) -> SkyJob:
        lease = self._lease(plan, folder)
        path = self.root / "jobs" / f"{plan.recipe}.yaml"
        document = load(path)
        word = secrets.token_hex(8)
        machine, work = machine_task(plan, document), run_task(plan, document, word)
        registry = login(self.site, os.environ)
        task = machine if registry else machine | work  # a job would hear a registry's password on its command line
        patience = Patience(self.site.sky.start_minutes, self.site.sky.idle_minutes)
        with lease.machine(task, registry, patience) as (entry, job):
            mirror = mirror_of(plan, folder)
            turn = Handshake(mirror.remote, mirror.there)
            with turn.awaited():  # an upload may take longer than a machine may idle
                self._send(mirror, lease.left(entry.price))
                self.show("starting  the node program")
                if job is None:
                    job = skypilot.submit(plan.run, work)
                before = len(Tail(folder.events).new())
                turn.give(word, job, before)
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
            if (before := Handshake(mirror.remote, mirror.there).given(job)) is None:
                return None  # its launch was killed before all was sent, or still sends
        work = SkyJob(job, mirror, lease.book, self.show, before)
        return None if work.over else work

    def refresh(self, folder: RunFolder) -> None:
        plan = read_existing(folder)
        if plan and self._lease(plan, folder).own():
            with contextlib.suppress(LaunchError):  # whoever follows the job learns why the machine does not answer
                mirror_of(plan, folder).look()

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        mirror = mirror_of(plan, folder)
        if mirror.has_export():
            return
        if not ledger().alive(plan.run):
            if plan.bucket:
                stored = Stored(plan.bucket, plan.run, values(plan, self.site, os.environ))
                stored.fetch("export", folder.export, lambda _: None)
                stored.fetch("manifest.json", folder.manifest, lambda _: None)
                return
            raise LaunchError(
                f"the export of run `{plan.run}` is not here, and its machine is gone",
                "launch again: what is done is not done again",
            )
        with mirror.remote.present():
            mirror.export()

    def unsaved(self, folder: RunFolder) -> LaunchError | None:
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
        """The machine has the plan, its limits of `left` seconds, its inputs, what earlier machines had done, and the
        run's secrets."""
        plan, folder, remote, there = mirror.plan, mirror.here, mirror.remote, mirror.there
        write_json(folder.limits, limits(plan, left, self.site.sky.stall_minutes, time.time()))
        always = ["plan.json", "limits.json", *(["inputs"] if plan.inputs else [])]
        kept = mirror.to_send()
        self.show(f"sending   {', '.join([*always, *kept])}")
        remote.send([f"{folder.path}/./{name}" for name in always], f"{there}/", "--relative", "--checksum")
        if kept:
            here = [f"{folder.path}/./{name}" for name in kept]
            remote.send(here, f"{there}/", "--relative", "--ignore-existing")
        if plan.image and plan.image.overlay:
            for name in (*PROGRAM, *plan.code.folders):
                remote.send([f"{self.root}/./{name}"], "/opt/launcher/", "--relative", "--delete")
        if given := values(plan, self.site, os.environ):  # SkyPilot would put them on a command line
            leave = f"umask 077; set -C; rm -f {run_secrets.place(plan.run)}; cat > {run_secrets.place(plan.run)}"
            remote.run("sh", "-c", leave, text=json.dumps(given))


def mirror_of(plan: Plan, folder: RunFolder) -> Mirror:
    """What `folder` has of the run folder on the head of the run's cluster, which ssh knows from SkyPilot."""
    return Mirror(plan, Remote(plan.run, skypilot.ssh_config(plan.run)), place_of(plan.run), folder)


@dataclass(frozen=True)
class Lease:
    """`show` hears what happens while a machine is made; `wait` is how many hours to ask again where there is no
    capacity."""

    plan: Plan
    folder: RunFolder
    show: Callable[[str], None]
    wait: float = 0.0
    book: Ledger = field(default_factory=ledger)

    def own(self) -> Entry | None:
        """The live entry of this run. Raises LaunchError when a run of another folder has the name."""
        for entry in self.book.alive(self.plan.run):
            if entry.folder == str(self.folder.path):
                return entry
            raise LaunchError(
                f"a machine named `{self.plan.run}` belongs to the run in `{entry.folder}`",
                "choose another name: `--run NAME`",
            )
        return None

    def left(self, price: float | None) -> float | None:
        """Seconds that the budget leaves. Raises LaunchError when it leaves nothing."""
        now, run = time.time(), self.plan.run
        return seconds_left(self.plan, self.book.hours(run, now), self.book.spent(run, now), price)

    @contextlib.contextmanager
    def machine(
        self, task: Mapping[str, Any], login: Mapping[str, str], patience: Patience
    ) -> Iterator[tuple[Entry, int | None]]:
        """The machine is up, and the ledger knows which it is and what it costs; with it the number of the task's job,
        if it has one. When the block fails, the machine is ended unless it was there before."""
        self.left(None)
        before = self.own()
        entry = before or self.book.begin(self.plan.run, self.plan.machine.cloud, self.folder.path, time.time())
        try:
            with interruptible():
                made = self._made(task, login, patience)
                yield self._written(entry, made), made.job
        except BaseException as problem:
            with undisturbed(), contextlib.suppress(LaunchError):  # the ledger shows what could not be ended
                if before:
                    pass  # it may hold what is nowhere else; the user is told that it costs
                elif isinstance(problem, NoCapacity) and not problem.tried:
                    self.book.close(entry, "nothing was asked for")
                else:
                    down(self.book, self.plan.run, f"{type(problem).__name__} at the launch")
            raise

    def working(self) -> int | None:
        """The number of the job that works on the run's machine; None where nothing does. A machine that is gone is
        noted."""
        entry = self.own()
        if entry is None:
            return None
        try:
            return skypilot.working(self.plan.run)
        except LaunchError:  # it does not answer: whatever it does, it cannot be followed
            if skypilot.state(self.plan.run) is None:
                with contextlib.suppress(LaunchError):
                    gone(self.book, entry, "it had ended when we looked")
            return None

    def terminate(self, why: str) -> bool:
        """Terminates the run's machine. Returns whether there was one. Raises LaunchError if one may be left."""
        with undisturbed():
            alive = self.book.alive(self.plan.run)
            if alive:
                down(self.book, self.plan.run, why)
        return bool(alive)

    def _made(self, task: Mapping[str, Any], login: Mapping[str, str], patience: Patience) -> Made:
        until = time.monotonic() + self.wait * 3600
        with open(self.folder.path / "launch.log", "a", encoding="utf-8") as log:

            def said(line: str) -> None:
                log.write(f"{line}\n")
                log.flush()
                if any(word in line for word in ("Launching on", "Instance is up", "Failed", "failover", "Retry")):
                    self.show(f"sky       {line.lstrip('⚙︎└├─ ')}")

            while True:
                try:
                    return skypilot.launch(self.plan.run, task, login, patience, said)
                except NoCapacity as problem:
                    if time.monotonic() + AGAIN > until:
                        raise
                    self.show(f"waiting   {problem.error}")
                    time.sleep(AGAIN)

    def _written(self, entry: Entry, made: Made) -> Entry:
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
