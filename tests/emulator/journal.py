"""What the emulator was asked."""

import threading
import time
from dataclasses import dataclass


@dataclass
class Call:
    """One request: `operation` is `runpod:podTerminate` or `lambda:GET /instances`, or `refused:HOST` for a host that
    is not emulated; `body` is the text that was sent, without headers; `peer` is where it came from; `outcome` is
    `answered`, `unauthorized`, `error`, or a fault's effect."""

    at: float
    operation: str
    body: str
    peer: str
    outcome: str = "answered"


class Journal:
    """All calls since the start, and a way to wait for one."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.news = threading.Condition()

    def note(self, call: Call) -> Call:
        with self.news:
            self.calls.append(call)
            self.news.notify_all()
        return call

    def of(self, operation: str) -> list[Call]:
        """The calls of one operation, in order."""
        with self.news:
            return [call for call in self.calls if call.operation == operation]

    @property
    def refused(self) -> list[str]:
        """The hosts that this machine wanted to reach and that are not emulated: empty where all was hermetic."""
        return [call.operation.removeprefix("refused:") for call in self._refusals() if call.peer == "127.0.0.1"]

    @property
    def refused_inside(self) -> list[str]:
        """The same for what ran inside pods and VMs."""
        return [call.operation.removeprefix("refused:") for call in self._refusals() if call.peer != "127.0.0.1"]

    def wait(self, operation: str, count: int = 1, patience: float = 30) -> Call:
        """The call that was the `count`-th of its operation; AssertionError if it does not come in time."""
        end = time.monotonic() + patience
        with self.news:
            while len(matching := [call for call in self.calls if call.operation == operation]) < count:
                left = end - time.monotonic()
                assert left > 0, f"{operation} was asked {len(matching)} times in {patience} s, not {count}"
                self.news.wait(left)
            return matching[count - 1]

    def _refusals(self) -> list[Call]:
        with self.news:
            return [call for call in self.calls if call.operation.startswith("refused:")]
