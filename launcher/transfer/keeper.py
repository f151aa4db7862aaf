"""What brings a run's checkpoints and results home while it works."""

import contextlib
import threading
from collections.abc import Callable

from launcher.transfer.mirror import Mirror
from launcher.transfer.ssh import NoRoom, Unreachable


class Keeper:
    """Copies checkpoints and results beside the looks, one after the other; `show` hears, once, that there is no room
    for them."""

    def __init__(self, mirror: Mirror, show: Callable[[str], None]):
        self.mirror, self.show = mirror, show
        self.thread: threading.Thread | None = None
        self.full = False

    def wake(self) -> None:
        """What is missing begins to be copied, unless that goes on already."""
        if (self.thread is None or not self.thread.is_alive()) and self.mirror.missing():
            self.thread = threading.Thread(target=self._keep, daemon=True)
            self.thread.start()

    def last(self) -> None:
        """What can still be had is here."""
        if self.thread:
            self.thread.join()
        self._keep()

    def _keep(self) -> None:
        try:
            with contextlib.suppress(Unreachable):
                self.mirror.keep()
                self.full = False
        except NoRoom as problem:
            if not self.full:
                self.show(f"not kept  {problem.error}: the machine alone has it")
            self.full = True
