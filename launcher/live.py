"""What changes on the screen while a run lasts or bytes move."""

import time

from rich.console import Group
from rich.live import Live as Redrawn
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from launcher import screen
from launcher.status import RunStatus


class Live:
    """A run on the screen while it lasts: redrawn on a terminal, a line for each change when piped."""

    def __init__(self) -> None:
        self.redrawn = (
            Redrawn(console=screen.out, auto_refresh=False, transient=False) if screen.out.is_terminal else None
        )
        self.said: dict[str, tuple[str, int]] = {}

    def __enter__(self) -> "Live":
        if self.redrawn:
            self.redrawn.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.redrawn:
            self.redrawn.stop()

    def show(self, status: RunStatus) -> None:
        if self.redrawn:
            self.redrawn.update(Group(screen.heading(status), screen.run(status, time.time())), refresh=True)
            return
        for stage in status.stages:
            now = (stage.state, stage.step)
            if stage.state != "waiting" and self.said.get(stage.name) != now:
                self.said[stage.name] = now
                step = f" {stage.step}/{stage.steps}" if stage.steps and stage.step else ""
                screen.out.print(Text(f"{stage.name:<12} {stage.state}{step}  {screen.numbers(stage)}".rstrip()))


class Bar:
    """Bytes moved, of `total`; drawn on a terminal only."""

    def __init__(self, what: str, total: int):
        columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=screen.out, disable=not screen.out.is_terminal, transient=True)
        self.task = self.progress.add_task(what, total=total)

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def add(self, size: int) -> None:
        self.progress.advance(self.task, size)
