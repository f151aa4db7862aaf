"""Which of the long tests a run takes: some by chance, all when they are asked for (`make faults`)."""

import os
import random
import time
from collections.abc import Sequence
from typing import TypeVar

Thing = TypeVar("Thing")
SEED = int(os.environ.get("FAULT_SEED") or time.time())
"""Which ones: the same seed, the same tests. A run prints it, in a test's name or at its end."""


def some(things: Sequence[Thing], count: int) -> list[Thing]:
    """As many of them as are wanted, in their order."""
    if os.environ.get("FAULTS") == "all" or len(things) <= count:
        return list(things)
    chosen = sorted(random.Random(SEED).sample(range(len(things)), count))
    return [things[number] for number in chosen]
