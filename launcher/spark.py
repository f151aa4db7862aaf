"""A row of numbers as a line of characters. Pure."""

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float], width: int) -> str:
    """At most `width` characters, from the lowest of `values` to the highest; each stands for the mean of its share of
    them, a blank for a share without a finite number."""
    count = min(width, len(values))
    shares = [values[place * len(values) // count : (place + 1) * len(values) // count] for place in range(count)]
    means = [_mean([one for one in share if math.isfinite(one)]) for share in shares]
    known = [one for one in means if one is not None]
    if not known:
        return " " * count
    low, high = min(known), max(known)
    return "".join(" " if one is None else BARS[_height(one, low, high)] for one in means)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _height(value: float, low: float, high: float) -> int:
    if high <= low:
        return 3
    return min(len(BARS) - 1, int((value / 2 - low / 2) / (high / 2 - low / 2) * len(BARS)))
