"""A run's machine through SkyPilot: written down before it is asked for, and ended when what follows fails."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from launcher.clouds import skypilot
from launcher.clouds.budget import seconds_left
from launcher.clouds.ledger import Entry, Ledger, ledger
from launcher.clouds.machines import down, gone
from launcher.clouds.skypilot import Cluster, NoCapacity, Patience
from launcher.errors import LaunchError
from launcher.interrupts import interruptible, undisturbed
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan

AGAIN = 60.0
"""Seconds between questions for a machine where none was to be had."""


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

    def down(self, why: str) -> None:
        """No machine of the run is alive. Raises LaunchError when one may be."""
        with undisturbed():
            if self.book.alive(self.plan.run):
                down(self.book, self.plan.run, why)

    def _made(self, task: Mapping[str, Any], login: Mapping[str, str], patience: Patience) -> Cluster:
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

    def _written(self, entry: Entry, made: Cluster) -> Entry:
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
