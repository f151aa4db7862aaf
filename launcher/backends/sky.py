"""Rented machines through SkyPilot: made, given the run folder, followed by a copy here, and ended."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from launcher import cluster
from launcher.backend import End
from launcher.bucket import Stored
from launcher.cluster import NoCapacity, Patience
from launcher.document import load
from launcher.errors import FAILED, INTERRUPTED, OURS, LaunchError
from launcher.job import read_job
from launcher.ledger import Entry, Ledger, ledger
from launcher.limits import limits, seconds_left
from launcher.machines import down
from launcher.mirror import Mirror
from launcher.node.events import Tail
from launcher.node.files import write_json
from launcher.node.folder import RunFolder
from launcher.node.keeping import CHECKPOINT, keeps
from launcher.node.records import Plan
from launcher.remote import Remote, Unreachable
from launcher.secrets import login, values
from launcher.site import SiteFile
from launcher.store import place_of, read_existing
from launcher.task import machine_task, run_task

LOOK = 2.0
"""Seconds between looks at a machine."""
ASK = 60.0
"""Seconds between questions to SkyPilot about a job that says nothing of its end."""
AGAIN = 60.0
"""Seconds between questions for a machine where none was to be had."""
PYTHON = "/opt/venv/bin/python"
"""The images' interpreter."""


@dataclass(frozen=True)
class Sky:
    """`root` holds jobs/; `show` hears what happens while a machine is made; `wait` is how many hours to ask again
    where there is no capacity."""

    root: Path
    site: SiteFile
    show: Callable[[str], None]
    wait: float = 0.0

    def start(self, plan: Plan, folder: RunFolder) -> "SkyWork":
        book = ledger()
        self._left(plan, book, None)
        entry = _own(book, plan, folder) or book.begin(plan.run, plan.machine.cloud, folder.path, time.time())
        try:
            with _interruptible():
                entry = self._make(plan, folder, entry, book)
                remote = remote_of(plan.run)
                self._send(plan, folder, entry, book, remote)
                self.show("starting  the node program")
                document = load(self._job(plan))
                job = cluster.submit(plan.run, run_task(plan, document), values(plan, self.site, os.environ))
        except BaseException as problem:
            with _undisturbed(), contextlib.suppress(LaunchError):  # the ledger shows what could not be ended
                if isinstance(problem, NoCapacity) and not problem.tried:
                    book.close(entry, "nothing was asked for")
                else:
                    down(book, plan.run, f"{type(problem).__name__} at the launch")
            raise
        return SkyWork(plan, folder, job, Mirror(plan, remote, place_of(plan.run), folder), book)

    def find(self, folder: RunFolder) -> "SkyWork | None":
        book, plan = ledger(), read_existing(folder)
        entry = _own(book, plan, folder) if plan else None
        if plan is None or entry is None:
            return None
        if (state := cluster.state(plan.run)) is None:
            book.close(entry, "it had ended when we looked")
        if state != "UP":
            return None
        job = cluster.working(plan.run)
        if job is None:
            return None
        work = SkyWork(plan, folder, job, Mirror(plan, remote_of(plan.run), place_of(plan.run), folder), book)
        with contextlib.suppress(LaunchError):
            work.mirror.look()
        return work

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        mirror = Mirror(plan, remote_of(plan.run), place_of(plan.run), folder)
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
        mirror.export()

    def down(self, folder: RunFolder, why: str) -> None:
        book = ledger()
        with _undisturbed():
            if book.alive(folder.path.name):
                down(book, folder.path.name, why)

    def _job(self, plan: Plan) -> Path:
        return self.root / "jobs" / f"{plan.recipe}.yaml"

    def _make(self, plan: Plan, folder: RunFolder, entry: Entry, book: Ledger) -> Entry:
        """The machine is up, and the ledger knows which it is and what it costs."""
        task = machine_task(plan, read_job(self._job(plan)), load(self._job(plan)))
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

    def _send(self, plan: Plan, folder: RunFolder, entry: Entry, book: Ledger, remote: Remote) -> None:
        """The machine has the plan, its limits, its inputs, and what earlier machines had done."""
        there, mirror = place_of(plan.run), Mirror(plan, remote, place_of(plan.run), folder)
        left = self._left(plan, book, entry.price)
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


class SkyWork:
    """A job of SkyPilot's that is a node program. What it says is copied here by a thread, once somebody waits."""

    def __init__(self, plan: Plan, folder: RunFolder, job: int, mirror: Mirror, book: Ledger):
        self.plan, self.folder, self.job, self.mirror, self.book = plan, folder, job, mirror, book
        self.since = time.time()
        self.thread: threading.Thread | None = None
        self.ended: End | None = None

    def end(self) -> End | None:
        if self.thread is None:
            self.thread = threading.Thread(target=self._follow, daemon=True)
            self.thread.start()
        return self.ended

    def stop(self, patience: float) -> bool:
        with contextlib.suppress(Unreachable):
            self.mirror.remote.run(PYTHON, "-m", "launcher.node", self.mirror.there, "--stop")
        until = time.monotonic() + patience
        while self.end() is None:
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
        return True

    def _follow(self) -> None:
        try:
            self.ended = self._until_the_end()
        except LaunchError as problem:
            self.ended = End(problem.code, problem.error, problem.hint)
        except Exception as problem:
            self.ended = End(OURS, f"following the run failed: {problem!r}", "launch again: it goes on")

    def _until_the_end(self) -> End:
        silent = asked = time.monotonic()
        keeper = _Keeper(self.mirror)
        while True:
            with contextlib.suppress(Unreachable):
                self.mirror.look()
                silent = time.monotonic()
                keeper.wake()
            now = time.monotonic()
            quiet = now - silent > ASK
            if self._said_its_end() or quiet or now - asked > ASK:
                asked = now
                if state := self._over(quiet):
                    break
            time.sleep(LOOK)
        keeper.last()
        return state

    def _said_its_end(self) -> bool:
        events = Tail(self.folder.events).new()
        last = next((one for one in reversed(events) if one.get("event") in ("run.ended", "run.finished")), None)
        return last is not None and float(last.get("time", 0)) > self.since

    def _over(self, quiet: bool) -> End | None:
        """How the job ended; None while it has not. A machine that is silent is looked for at its provider's."""
        name = self.plan.run
        if quiet and cluster.state(name, ask_provider=True) != "UP":
            for entry in self.book.alive(name):
                self.book.close(entry, "it vanished")
            return End(INTERRUPTED, f"the machine of `{name}` is gone: {self._where()}", self._carries_on())
        state = cluster.job_state(name, self.job)
        if state is None or state in ("INIT", "PENDING", "SETTING_UP", "RUNNING"):
            return None
        with contextlib.suppress(Unreachable):
            self.mirror.look()
        if self._said_its_end():
            return End(None)
        if state == "CANCELLED":
            return End(INTERRUPTED, "the job was cancelled", "launch again: it carries on")
        said = cluster.output(name, self.job, 20)
        with open(self.folder.node_log, "a", encoding="utf-8") as log:
            log.write(said)
        return End(
            FAILED,
            f"the job of `{name}` ended as {state} without a word of the node program",
            f"read {self.folder.node_log}",
        )

    def _carries_on(self) -> str:
        """What the next launch begins with, of what is here."""
        kept = [one for one in keeps(self.plan, Tail(self.folder.events).new()) if self.mirror.has(one)]
        points = [one for one in kept if one.kind == CHECKPOINT]
        where = f" from step {points[-1].step} of `{points[-1].stage}`" if points else ""
        return f"launch again: it carries on{where}"

    def _where(self) -> str:
        entries = [one for one in self.book.entries() if one.run == self.plan.run]
        return f"{entries[-1].cloud or entries[-1].clouds} does not list it any more" if entries else "nobody lists it"


class _Keeper:
    """Copies checkpoints and results beside the looks, one after the other."""

    def __init__(self, mirror: Mirror):
        self.mirror = mirror
        self.thread: threading.Thread | None = None

    def wake(self) -> None:
        if (self.thread is None or not self.thread.is_alive()) and self.mirror.missing():
            self.thread = threading.Thread(target=self._keep, daemon=True)
            self.thread.start()

    def last(self) -> None:
        """What can still be had is here."""
        if self.thread:
            self.thread.join()
        self._keep()

    def _keep(self) -> None:
        with contextlib.suppress(LaunchError):
            self.mirror.keep()


def remote_of(run: str) -> Remote:
    """The head of the run's cluster, as SkyPilot's ssh configuration has it."""
    return Remote(run, cluster.ssh_config(run))


def _own(book: Ledger, plan: Plan, folder: RunFolder) -> Entry | None:
    """The live entry of this run. Raises LaunchError when a run of another folder has the name."""
    for entry in book.alive(plan.run):
        if entry.folder == str(folder.path):
            return entry
        raise LaunchError(
            f"a machine named `{plan.run}` belongs to the run in `{entry.folder}`", "choose another name: `--run NAME`"
        )
    return None


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C is heard at once."""
    with _handler(signal.default_int_handler):
        yield


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C is not heard: a machine is being ended."""
    with _handler(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handler(handler: object) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
