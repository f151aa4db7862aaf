"""SIGTERM, remembered until the current step is over."""

import signal
import sys
from typing import Any


class StopSignal:
    """Remembers that SIGTERM came. Called, it tells."""

    def __init__(self) -> None:
        self.came = False
        self.listen()

    def listen(self) -> None:
        """SIGTERM is remembered from here on, also where a library has installed a handler of its own since."""
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, number: int, frame: Any) -> None:
        self.came = True
        print("SIGTERM: stopping after this step", file=sys.stderr, flush=True)

    def __call__(self) -> bool:
        return self.came
