"""What goes wrong on demand."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

Effect = Literal["refuse", "lose", "drop", "hang", "garbage", "delay", "no ssh", "stuck"]
"""refuse: an error instead of the deed. lose: the deed, then no answer, or an error if a status is given.
drop: no deed, the connection ends. hang: no deed, no answer for `seconds`, then the connection ends.
garbage: no deed, an answer that is not JSON. delay: the deed, `seconds` later.
no ssh, stuck: the machine is created and billed, but nobody can log in, or it never runs."""


@dataclass
class Fault:
    """`operation` may hold `*`: `lambda:*` is all of Lambda's API. It happens `times` times, or always if that is
    None, but only for `lasting` seconds if that is given."""

    operation: str
    effect: Effect
    message: str = "Something went wrong. Please try again later or contact support."
    times: int | None = 1
    status: int | None = None
    code: str = "global/internal-error"
    seconds: float = 0.0
    lasting: float | None = None

    def __post_init__(self) -> None:
        if self.effect not in get_args(Effect):
            raise ValueError(f"`{self.effect}` is no effect of a fault: {', '.join(get_args(Effect))}")


class Faults:
    """The faults that wait for their operation, and the machine types that are sold out."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.waiting: list[tuple[Fault, float]] = []
        self.sold_out: set[tuple[str, str | None]] = set()

    def add(self, *faults: Fault) -> None:
        with self.lock:
            self.waiting.extend((fault, self.clock()) for fault in faults)

    def take(self, operation: str) -> Fault | None:
        """The oldest fault for this operation; it has happened once more."""
        with self.lock:
            for entry in self.waiting:
                fault, since = entry
                over = fault.lasting is not None and self.clock() - since > fault.lasting
                if over or not fnmatchcase(operation, fault.operation):
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.waiting.remove(entry)
                return fault
            return None

    def sell_out(self, type: str, region: str | None = None) -> None:
        """No machine of this type is to be had, in this region or in any."""
        with self.lock:
            self.sold_out.add((type, region))

    def has(self, type: str, region: str) -> bool:
        """Whether a machine of this type is to be had there."""
        with self.lock:
            return not self.sold_out & {(type, None), (type, region)}

    def clear(self) -> None:
        """All is well again."""
        with self.lock:
            self.waiting.clear()
            self.sold_out.clear()
