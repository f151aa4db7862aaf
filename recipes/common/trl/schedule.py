"""How many steps a training has, and how many of them warm up. Pure arithmetic."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """What one epoch after the other comes to."""

    steps: int
    warmup: int
    """Always fewer than the steps."""
    save_every: int


def schedule(rows: int, batch: int, accumulate: int, epochs: float, warmup: float, save_every: int) -> Schedule:
    """As the trainer counts: a step is `accumulate` batches, the last of an epoch may be smaller."""
    each = math.ceil(math.ceil(rows / batch) / accumulate)
    steps = math.ceil(each * epochs)
    return Schedule(steps, min(math.ceil(warmup * steps), steps - 1), save_every)
