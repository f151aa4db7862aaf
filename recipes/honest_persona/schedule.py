"""The learning rate and the heavy logs: functions of the step alone, so that resuming needs no memory of them."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Linear from 0, then flat, then half a cosine down to `floor`; all in shares."""

    warmup: float
    """Of the steps."""
    cooldown: float
    """Of the steps, at the end."""
    floor: float
    """Of the learning rate."""

    def factor(self, step: int, steps: int) -> float:
        """What the learning rate is multiplied with in `step` of `steps`, counted from 1."""
        rising, falling = self.warmup * steps, self.cooldown * steps
        up = min(1.0, step / rising) if rising else 1.0
        left = steps - step
        if left >= falling:
            return up
        return min(up, self.floor + (1 - self.floor) * (1 - math.cos(math.pi * left / falling)) / 2)


def heavy_steps(first: int | None, percent: float, steps: int) -> list[int]:
    """The steps after which the persona is listened to: from `first` on, the distance growing by `percent` of the step
    number; none for None."""
    heavy, step = [], first
    while step is not None and step <= steps:
        heavy.append(step)
        step = max(step + 1, math.ceil(step * (1 + percent / 100)))
    return heavy
