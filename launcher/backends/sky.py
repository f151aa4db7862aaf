"""Rented machines through SkyPilot: made, given the run folder, followed by a copy here, and ended."""

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launcher import cluster
from launcher.bucket import Stored
from launcher.capacity import NoCapacity
from launcher.cluster import Patience
from launcher.document import load
from launcher.errors import LaunchError
from launcher.interruption import interruptible, undisturbed
from launcher.job import read_job
from launcher.ledger import Entry, Ledger, ledger
from launcher.limits import limits, seconds_left
from launcher.machines import down, gone
from launcher.mirror import Mirror
from launcher.node import taken
from launcher.node.files import write_json
from launcher.node.folder import RunFolder
from launcher.node.records import Plan
from launcher.remote import Remote
from launcher.rented import Rented
from launcher.secrets import login, values
from launcher.site import SiteFile
from launcher.store import place_of, read_existing
from launcher.task import machine_task, run_task

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

    def start(self, plan: Plan, folder: RunFolder) -> Rented:
        book = ledger()
        self._left(plan, book, None)
        before = _own(book, plan, folder)
        entry = before or book.begin(plan.run, plan.machine.cloud, folder.path, time.time())
        try:
            with interruptible():
                path = self.root / "jobs" / f"{plan.recipe}.yaml"
                document = load(path)
                entry = self._make(plan, machine_task(plan, read_job(path), document), folder, entry, book)
                mirror = mirror_of(plan, folder)
                self._send(mirror, self._left(plan, book, entry.price))
                self.show("starting  the node program")
                if given := values(plan, self.site, os.environ):  # SkyPilot would put them on a command line
                    leave = f"umask 077; cat > {taken.place(plan.run)}"
                    mirror.remote.run("sh", "-c", leave, text=json.dumps(given))
                job = cluster.submit(plan.run, run_task(plan, document))
        except BaseException as problem:
            with undisturbed(), contextlib.suppress(LaunchError):  # the ledger shows what could not be ended
                if before:
                    pass  # it may hold what is nowhere else; the user is told that it costs
                elif isinstance(problem, NoCapacity) and not problem.tried:
                    book.close(entry, "nothing was asked for")
                else:
                    down(book, plan.run, f"{type(problem).__name__} at the launch")
            raise
        return Rented(job, mirror, book, joined=False)

    def find(self, folder: RunFolder) -> Rented | None:
        book, plan = ledger(), read_existing(folder)
        entry = _own(book, plan, folder) if plan else None
        if plan is None or entry is None:
            return None
        if (state := cluster.state(plan.run)) is None:
            with contextlib.suppress(LaunchError):
                gone(book, entry, "it had ended when we looked")
        if state != "UP":
            return None
        try:
            job = cluster.working(plan.run)
        except LaunchError:  # it does not answer: whatever it does, it cannot be followed
            return None
        if job is None:
            return None
        work = Rented(job, mirror_of(plan, folder), book, joined=True)
        with contextlib.suppress(LaunchError):
            work.mirror.look()
        return work

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

    def down(self, folder: RunFolder, why: str) -> None:
        book = ledger()
        with undisturbed():
            if book.alive(folder.path.name):
                down(book, folder.path.name, why)

    def _make(self, plan: Plan, task: dict[str, Any], folder: RunFolder, entry: Entry, book: Ledger) -> Entry:
        """The machine is up, and the ledger knows which it is and what it costs."""
        until, given = time.monotonic() + self.wait * 3600, login(self.site, os.environ)
        patience = Patience(self.site.sky.start_minutes, self.site.sky.idle_minutes)
        with open(folder.path / "launch.log", "a", encoding="utf-8") as log:

            def said(line: str) -> None:
                log.write(f"{line}\n")
                log.flush()
                if any(word in line for word in ("Launching on", "Instance is up", "Failed", "failover", "Retry")):
                    self.show(f"sky       {line.lstrip('⚙︎└├─ ')}")

            while True:
                try:
                    made = cluster.provision(plan.run, task, given, patience, said)
                    break
                except NoCapacity as problem:
                    if time.monotonic() + AGAIN > until:
                        raise
                    self.show(f"waiting   {problem.error}")
                    time.sleep(AGAIN)
        price = f"${made.price:.2f}/h" if made.price is not None else "price unknown"
        self.show(f"machine   {made.cloud} {made.region}, {made.machine}, {price}")
        return book.write(
            replace(
                entry,
                cloud=made.cloud,
                region=made.region,
                machine=made.machine,
                price=made.price,
                up=entry.up or time.time(),
            )
        )

    def _left(self, plan: Plan, book: Ledger, price: float | None) -> float | None:
        now = time.time()
        return seconds_left(plan, book.hours(plan.run, now), book.spent(plan.run, now), price)

    def _send(self, mirror: Mirror, left: float | None) -> None:
        """The machine has the plan, its limits of `left` seconds, its inputs, and what earlier machines had done."""
        plan, folder, remote, there = mirror.plan, mirror.here, mirror.remote, mirror.there
        write_json(folder.limits, limits(plan, left, self.site.sky.stall_minutes, time.time()))
        remote.run("mkdir", "-p", there)
        always = ["plan.json", "limits.json", *(["inputs"] if plan.inputs else [])]
        kept = mirror.to_send()
        self.show(f"sending   {', '.join([*always, *kept])}")
        with remote.present():  # an upload may take longer than a machine may idle
            remote.send([f"{folder.path}/./{name}" for name in always], f"{there}/", "--relative", "--checksum")
            if kept:
                here = [f"{folder.path}/./{name}" for name in kept]
                remote.send(here, f"{there}/", "--relative", "--ignore-existing")
            if plan.image and plan.image.overlay:
                for name in ("launcher/node", *plan.code.folders):
                    remote.send([f"{self.root}/./{name}"], "/opt/launcher/", "--relative", "--delete")


def mirror_of(plan: Plan, folder: RunFolder) -> Mirror:
    """What `folder` has of the run folder on the head of the run's cluster, which ssh knows from SkyPilot."""
    return Mirror(plan, Remote(plan.run, cluster.ssh_config(plan.run)), place_of(plan.run), folder)


def _own(book: Ledger, plan: Plan, folder: RunFolder) -> Entry | None:
    """The live entry of this run. Raises LaunchError when a run of another folder has the name."""
    for entry in book.alive(plan.run):
        if entry.folder == str(folder.path):
            return entry
        raise LaunchError(
            f"a machine named `{plan.run}` belongs to the run in `{entry.folder}`", "choose another name: `--run NAME`"
        )
    return None
