"""What changes on the screen while a run lasts or bytes move."""

import time

from rich.live import Live as Redrawn
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from launcher.clouds.ledger import ledger
from launcher.report.outlook import RunFacts, outside, quiet
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus
from launcher.ui import console
from launcher.ui.run_page import line, page

LOOK = 1.0
"""Seconds between looks at what a run costs."""


class Live:
    """A run on the screen while it lasts: redrawn on a terminal, a line for each change when piped."""

    def __init__(self, plan: Plan, folder: RunFolder):
        self.plan, self.folder = plan, folder
        self.redrawn = (
            Redrawn(console=console.out, auto_refresh=False, transient=False) if console.out.is_terminal else None
        )
        self.said: dict[str, tuple[str, int]] = {}
        self.hushed = 0.0
        self.known, self.looked = RunFacts(plan.machine.cloud), 0.0

    def __enter__(self) -> "Live":
        if self.redrawn:
            self.redrawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.redrawn:
            self.redrawn.stop()

    def show(self, status: RunStatus) -> None:
        """The run as it stands now."""
        now = time.time()
        if abs(now - self.looked) > LOOK:
            self.known, self.looked = outside(self.plan, self.folder, ledger(), now), now
        if self.redrawn:
            self.redrawn.update(page(status, self.known, now), refresh=True)
        else:
            self._say(status, now)

    def _say(self, status: RunStatus, now: float) -> None:
        """A line for each stage that changed; one for a stage that stands still, and again after twice as long."""
        for stage in status.stages:
            at = (stage.state, stage.step)
            if stage.state != "waiting" and self.said.get(stage.name) != at:
                self.said[stage.name] = at
                console.say(line(stage))
        seconds = (status.current.quiet(now) if status.current else None) or 0.0
        if status.current and seconds > 2 * self.hushed:
            self.hushed = seconds
            console.say(f"{status.current.name:<12} {quiet(status.current, self.known, now)}")
        elif not seconds:
            self.hushed = 0.0


class Bar:
    """Bytes moved, of `total`; drawn on a terminal only."""

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
