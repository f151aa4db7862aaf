"""A SkyPilot job that runs a node program. A local copy of its run folder follows it until it has ended."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launcher.backends.base import End, Work, wait_until
from launcher.clouds import skypilot
from launcher.clouds.ledger import Ledger, Reason
from launcher.clouds.machines import gone
from launcher.errors import FAILED, INTERRUPTED, OURS, LaunchError
from launcher.runfolder.events import Tail
from launcher.runfolder.retention import CHECKPOINT
from launcher.transfer.mirror import Copier, Mirror
from launcher.transfer.ssh import NoRoom, Unreachable

LOOK, FIRST = 2.0, 0.5
"""Seconds between looks at a machine; and before the first event of the job."""
QUIET, ASK = 20.0, 60.0
"""Seconds without an answer after which the provider is asked whether the machine is there, and without an event after
which SkyPilot is asked about the job; and seconds between such questions about a job that works."""
SILENT = 900.0
"""Seconds without an answer after which the launch gives a machine up, whatever its provider says: it costs money, and
nobody knows what it does."""
PYTHON = "/opt/venv/bin/python"
"""The images' interpreter."""
RUN = ("run.started", "run.ended", "run.finished")


@dataclass(frozen=True)
class Following:
    """How a job is followed: the command that asks its node program to stop, executed where the run folder is reached;
    seconds between looks, and before the first event; the error if the machine is gone."""

    stop: tuple[str, ...]
    look: float = LOOK
    first: float = FIRST
    gone_error: str = "the machine of `{run}` is gone: {cloud} does not list it any more"


class SkyJob(Work):
    """A thread copies events and checkpoints from the machine, from the first question for the end on. `before` is how
    many events are older than the job, if that is known; `show` gets the lines for the user."""

    def __init__(
        self,
        job: int,
        mirror: Mirror,
        book: Ledger,
        show: Callable[[str], None],
        before: int | None,
        following: Following | None = None,
    ):
        self.job, self.mirror, self.book, self.show = job, mirror, book, show
        self.following = following or Following((PYTHON, "-m", "launcher.node", mirror.there, "--stop"))
        self.plan, self.folder = mirror.plan, mirror.here
        self.thread: threading.Thread | None = None
        self.ended: End | None = None
        self.sure = before is not None
        self.before = self._last_start() if before is None else before
        """How many events are not this job's."""

    @property
    def over(self) -> bool:
        """Whether the run has ended by the job's own events. Its process may exist a moment longer; with a bucket,
        until the upload is complete."""
        return self._events_are_enough and ends(self._kinds())

    def end(self) -> End | None:
        if self.thread is None:
            self.thread = threading.Thread(target=self._follow, daemon=True)
            self.thread.start()
        return self.ended

    def stop(self, patience: float) -> bool:
        with contextlib.suppress(Unreachable):  # it may have ended, and its machine with it
            self.mirror.remote.run(*self.following.stop)
        return wait_until(lambda: self.end() is not None, patience, 0.2)

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
            except LaunchError:  # it does not answer; after a while its provider is asked
                pass
            now, kinds, end = time.monotonic(), self._kinds(), None
            quiet = now - answered > QUIET
            if self._events_are_enough and ends(kinds):
                end = End(None)
            elif ends(kinds) or now - asked > (ASK if kinds and not quiet else QUIET):
                asked = now
                end = self._ask_for_end(quiet)
                if end is None and full and quiet:
                    end = End(OURS, full.error, f"{full.hint}: the run continues; the same launch follows it")
                elif end is None and now - answered > SILENT:
                    error = f"the machine of `{self.plan.run}` has not answered for {SILENT / 60:.0f} minutes"
                    end = End(INTERRUPTED, error, self._hint())
            if end:
                break
            time.sleep(self.following.look if kinds else self.following.first)
        with self.mirror.remote.terminal():  # a machine without a job terminates itself after a while
            copier.finish()
        return end

    def _ask_for_end(self, quiet: bool) -> End | None:
        """How the job ended, as SkyPilot knows it; None while it works, or if nobody answers: they are asked again. A
        `quiet` machine may be gone, and so may a machine about whose job SkyPilot knows nothing."""
        if not quiet:
            with contextlib.suppress(LaunchError):  # SkyPilot does not know: the provider may
                return self._end_of_job()
        with contextlib.suppress(LaunchError):  # the provider does not answer: it is asked again
            return self._end_of_machine()
        return None

    def _kinds(self) -> list[object]:
        """The kinds of the job's events, as far as they are here."""
        return [event.get("event") for event in Tail(self.folder.events).new()[self.before :]]

    @property
    def _events_are_enough(self) -> bool:
        return self.sure and self.plan.bucket is None

    def _last_start(self) -> int:
        """How many events are older than the last start in them."""
        kinds = [event.get("event") for event in Tail(self.folder.events).new()]
        return max((number for number, kind in enumerate(kinds) if kind == RUN[0]), default=0)

    def _end_of_machine(self) -> End | None:
        """The end of a machine that neither SkyPilot nor its provider lists any more; None if one of them lists it."""
        name = self.plan.run
        if skypilot.state(name, ask_provider=True) is not None:
            return None
        cloud = "its cloud"
        for entry in self.book.alive(name):
            if not gone(self.book, entry, Reason.VANISHED):
                return None
            cloud = entry.cloud or entry.clouds
        return End(INTERRUPTED, self.following.gone_error.format(run=name, cloud=cloud), self._hint())

    def _end_of_job(self) -> End | None:
        """How the job ended; None while it works."""
        name = self.plan.run
        state = skypilot.job_state(name, self.job)
        if state is None or state in ("INIT", "PENDING", "SETTING_UP", "RUNNING"):
            return None
        try:
            self.mirror.refresh()
        except NoRoom:  # its last events are not here
            raise
        except LaunchError:  # the machine is gone with them; the job's state says enough
            pass
        if ends(self._kinds()):
            return End(None)
        if state == "CANCELLED":
            return End(INTERRUPTED, "the job was cancelled", self._hint())
        with open(self.folder.node_log, "a", encoding="utf-8") as log:
            log.write(skypilot.output(name, self.job, 20))
        error = f"the job of `{name}` ended as {state} and the node program reported nothing"
        return End(FAILED, error, f"read {self.folder.node_log}")

    def _hint(self) -> str:
        """That the run continues, and from which checkpoint."""
        checkpoints = [artifact for artifact in self.mirror.present() if artifact.kind == CHECKPOINT]
        step = f" from step {checkpoints[-1].step} of `{checkpoints[-1].stage}`" if checkpoints else ""
        return f"launch again: the run continues{step}"


def ends(kinds: Sequence[object]) -> bool:
    """Whether the last event about the run itself is its end."""
    return next((kind for kind in reversed(kinds) if kind in RUN), None) in RUN[1:]
