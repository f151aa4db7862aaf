"""What changes on the screen while a run lasts or files are copied."""

import time

from rich.live import Live as Screen
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from launcher.clouds.ledger import ledger
from launcher.report.status_lines import RunFacts, quiet, run_facts
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus
from launcher.ui import console
from launcher.ui.run_page import line, page

EVERY = 1.0
"""Seconds between two updates of what a run costs."""


class Live:
    """A run on the screen while it lasts: a page that is drawn again on a terminal, a line for each change in a
    pipe."""

    def __init__(self, plan: Plan, folder: RunFolder):
        self.plan, self.folder = plan, folder
        self.screen = (
            Screen(console=console.out, auto_refresh=False, transient=False) if console.out.is_terminal else None
        )
        self.printed: dict[str, tuple[str, int]] = {}
        self.reported = 0.0
        self.facts, self.read_at = RunFacts(plan.machine.cloud), 0.0

    def __enter__(self) -> "Live":
        if self.screen:
            self.screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.screen:
            self.screen.stop()

    def show(self, status: RunStatus) -> None:
        """Shows the run as it is now."""
        now = time.time()
        if abs(now - self.read_at) > EVERY:
            self.facts, self.read_at = run_facts(self.plan, self.folder, ledger(), now), now
        if self.screen:
            self.screen.update(page(status, self.facts, now), refresh=True)
        else:
            self._print(status, now)

    def _print(self, status: RunStatus, now: float) -> None:
        """Prints a line for each stage that has changed; for a stage without progress one line, and another after twice
        the time."""
        for stage in status.stages:
            at = (stage.state, stage.step)
            if stage.state != "waiting" and self.printed.get(stage.name) != at:
                self.printed[stage.name] = at
                console.say(line(stage))
        seconds = (status.current.quiet(now) if status.current else None) or 0.0
        if status.current and seconds > 2 * self.reported:
            self.reported = seconds
            console.say(f"{status.current.name:<12} {quiet(status.current, self.facts, now)}")
        elif not seconds:
            self.reported = 0.0


class Bar:
    """A bar of the bytes copied, of `total`; on a terminal only."""

    def __init__(self, what: str, total: int):
        columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console.out, disable=not console.out.is_terminal, transient=True)
        self.task = self.progress.add_task(what, total=total)

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def add(self, size: int) -> None:
        self.progress.advance(self.task, size)
