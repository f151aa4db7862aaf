"""A job on a rented machine that is a node program: followed by a copy of its run folder here, until it has ended."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launcher.backends.base import End
from launcher.clouds import skypilot
from launcher.clouds.ledger import Ledger
from launcher.clouds.machines import gone
from launcher.errors import FAILED, INTERRUPTED, OURS, LaunchError
from launcher.runfolder.events import Tail
from launcher.runfolder.retention import CHECKPOINT
from launcher.transfer.mirror import Copier, Mirror
from launcher.transfer.ssh import NoRoom, Unreachable

LOOK, FIRST = 2.0, 0.5
"""Seconds between looks at a machine; and before the job has said anything."""
QUIET, ASK = 20.0, 60.0
"""Seconds without an answer after which its provider is asked whether a machine is there, and without a word after
which SkyPilot is asked about a job; and between such questions about one that works."""
SILENT = 900.0
"""Seconds without an answer after which a machine is given up, whatever its provider says: it costs, and nobody can
tell what it does."""
PYTHON = "/opt/venv/bin/python"
"""The images' interpreter."""
RUN = ("run.started", "run.ended", "run.finished")


@dataclass(frozen=True)
class Ways:
    """How a machine is dealt with: the command, run where its files are reached, that asks its node program to stop;
    seconds between looks, and before the job has said anything; what its sudden end is called."""

    stop: tuple[str, ...]
    look: float = LOOK
    first: float = FIRST
    gone: str = "the machine of `{run}` is gone: {cloud} does not list it any more"


class SkyJob:
    """A SkyPilot job that runs a node program. What it says is copied here by a thread, once somebody waits. `before`
    is how many events are from before the job, where that is known; `show` hears what the user should know."""

    def __init__(
        self,
        job: int,
        mirror: Mirror,
        book: Ledger,
        show: Callable[[str], None],
        before: int | None,
        ways: Ways | None = None,
    ):
        self.job, self.mirror, self.book, self.show = job, mirror, book, show
        self.ways = ways or Ways((PYTHON, "-m", "launcher.node", mirror.there, "--stop"))
        self.plan, self.folder = mirror.plan, mirror.here
        self.thread: threading.Thread | None = None
        self.ended: End | None = None
        self.sure = before is not None
        self.before = self._last_start() if before is None else before
        """How many events are not this job's."""

    @property
    def over(self) -> bool:
        """Whether nothing that counts is done any more, by the job's own word. Its process may be there for a moment;
        where there is a bucket, until all is stored."""
        return self._believed and ends(self._said())

    def end(self) -> End | None:
        if self.thread is None:
            self.thread = threading.Thread(target=self._follow, daemon=True)
            self.thread.start()
        return self.ended

    def stop(self, patience: float) -> bool:
        with contextlib.suppress(Unreachable):
            self.mirror.remote.run(*self.ways.stop)
        until = time.monotonic() + patience
        while self.end() is None:
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
        return True

    def _follow(self) -> None:
        try:
            self.ended = self._until_the_end()
        except Exception as problem:
            self.ended = End(OURS, f"following the run failed: {problem!r}", "launch again: the run continues")

    def _until_the_end(self) -> End:
        answered = asked = time.monotonic()
        copier = Copier(self.mirror, self.show)
        while True:
            full = None
            try:
                self.mirror.refresh()
                answered = time.monotonic()
                copier.start()
            except NoRoom as problem:
                full = problem
            except LaunchError:
                pass
            now, said, found = time.monotonic(), self._said(), None
            quiet = now - answered > QUIET
            if self._believed and ends(said):
                found = End(None)
            elif ends(said) or now - asked > (ASK if said and not quiet else QUIET):
                asked = now
                found = self._ended(quiet)
                if found is None and full and quiet:
                    found = End(OURS, full.error, f"{full.hint}: the run continues; the same launch follows it")
                elif found is None and now - answered > SILENT:
                    error = f"the machine of `{self.plan.run}` has not answered for {SILENT / 60:.0f} minutes"
                    found = End(INTERRUPTED, error, self._carries_on())
            if found:
                break
            time.sleep(self.ways.look if said else self.ways.first)
        with self.mirror.remote.terminal():  # a machine without a job ends itself after a while
            copier.finish()
        return found

    def _ended(self, quiet: bool) -> End | None:
        """How the job ended, by SkyPilot's word; None while it has not, or where nobody answers: they are asked again.
        A `quiet` machine may be gone, and so may one whose job nobody can tell of."""
        if not quiet:
            with contextlib.suppress(LaunchError):
                return self._over()
        with contextlib.suppress(LaunchError):
            return self._gone()
        return None

    def _said(self) -> list[object]:
        """The kinds of the job's events, as far as they are here."""
        return [one.get("event") for one in Tail(self.folder.events).new()[self.before :]]

    @property
    def _believed(self) -> bool:
        return self.sure and self.plan.bucket is None

    def _last_start(self) -> int:
        """How many events are from before the last start that was told."""
        kinds = [one.get("event") for one in Tail(self.folder.events).new()]
        return max((number for number, kind in enumerate(kinds) if kind == RUN[0]), default=0)

    def _gone(self) -> End | None:
        """That the machine is no longer there, by SkyPilot's and its provider's word."""
        name = self.plan.run
        if skypilot.state(name, ask_provider=True) is not None:
            return None
        where = "its cloud"
        for entry in self.book.alive(name):
            if not gone(self.book, entry, "it vanished"):
                return None
            where = entry.cloud or entry.clouds
        return End(INTERRUPTED, self.ways.gone.format(run=name, cloud=where), self._carries_on())

    def _over(self) -> End | None:
        """How the job ended; None while it has not."""
        name = self.plan.run
        state = skypilot.job_state(name, self.job)
        if state is None or state in ("INIT", "PENDING", "SETTING_UP", "RUNNING"):
            return None
        try:
            self.mirror.refresh()
        except NoRoom:  # what it said last is not known
            raise
        except LaunchError:
            pass
        if ends(self._said()):
            return End(None)
        if state == "CANCELLED":
            return End(INTERRUPTED, "the job was cancelled", self._carries_on())
        with open(self.folder.node_log, "a", encoding="utf-8") as log:
            log.write(skypilot.output(name, self.job, 20))
        error = f"the job of `{name}` ended as {state} and the node program reported nothing"
        return End(FAILED, error, f"read {self.folder.node_log}")

    def _carries_on(self) -> str:
        """What the next launch begins with, of what is here."""
        points = [one for one in self.mirror.needed() if one.kind == CHECKPOINT and self.mirror.has(one)]
        where = f" from step {points[-1].step} of `{points[-1].stage}`" if points else ""
        return f"launch again: the run continues{where}"


def ends(kinds: Sequence[object]) -> bool:
    """Whether the last that these events say of a run is its end."""
    return next((kind for kind in reversed(kinds) if kind in RUN), None) in RUN[1:]
