"""The learning rate and the heavy logs: functions of the step alone, so that resuming needs no memory of them."""

import math


def rate_factor(step: int, steps: int, warmup: float, cooldown: float, floor: float) -> float:
    """What the learning rate is multiplied with in `step` of `steps`, counted from 1: linear from 0 in the first
    `warmup` of the steps, then flat, and in the last `cooldown` half a cosine down to `floor`; all are shares."""
    rising, falling = warmup * steps, cooldown * steps
    up = min(1.0, step / rising) if rising else 1.0
    left = steps - step
    if left >= falling:
        return up
    return min(up, floor + (1 - floor) * (1 - math.cos(math.pi * left / falling)) / 2)


def heavy_steps(first: int | None, percent: float, steps: int) -> list[int]:
    """The steps after which the persona is listened to: from `first` on, the distance growing by `percent` of the step
    number; none for None."""
    heavy, step = [], first
    while step is not None and step <= steps:
        heavy.append(step)
        step = max(step + 1, math.ceil(step * (1 + percent / 100)))
    return heavy
