"""How long a test waits: budgets in seconds of an idle machine, made longer where this one is slower or busy."""

import time

LOOPS = 150_000
REFERENCE = 0.002
"""Seconds that the loops take on the machine for which the budgets were written, when it does nothing else."""
SAMPLES = 12
FRESH = 5.0
"""Seconds for which a measurement is believed."""
MOST = 20.0
_last: list[float] = [float("-inf"), 1.0]


def slowness() -> float:
    """How many times longer work takes now, on this machine with all that runs beside it: from 1 to `MOST`. The mean of
    several short measurements: between them others get their turn, and within some of them too."""
    now = time.monotonic()
    if now - _last[0] > FRESH:
        seconds = 0.0
        for _ in range(SAMPLES):
            began = time.perf_counter()
            sum(range(LOOPS))
            seconds += time.perf_counter() - began
            time.sleep(0.002)
        _last[:] = [now, min(max(seconds / SAMPLES / REFERENCE, 1.0), MOST)]
    return _last[1]


def patience(seconds: float) -> float:
    """The seconds to wait for what takes at most `seconds` on an idle machine."""
    return seconds * slowness()


class Deadline:
    """A wait that is over after `seconds` of an idle machine; how slow this one is, is asked again when they are."""

    def __init__(self, seconds: float):
        self.seconds, self.began = seconds, time.monotonic()

    @property
    def over(self) -> bool:
        waited = time.monotonic() - self.began
        return waited > self.seconds and waited > patience(self.seconds)

    def __str__(self) -> str:
        return f"{time.monotonic() - self.began:.0f} s"


def until(condition, what="it", seconds=60.0, every=0.01):
    """The first true value of `condition()`; AssertionError when it has none in `seconds` of an idle machine."""
    deadline = Deadline(seconds)
    while not (value := condition()):
        assert not deadline.over, f"{what} did not happen within {deadline}"
        time.sleep(every)
    return value
