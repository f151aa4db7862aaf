"""95 % confidence intervals."""

import math
from collections.abc import Mapping
from statistics import fmean, stdev
from typing import NamedTuple

Z = 1.959964
"""The normal distribution's 97.5 % quantile."""


class Interval(NamedTuple):
    value: float
    low: float
    high: float


def text_of(numbers: Mapping[str, float]) -> str:
    """An interval, as `_asdict` has it, in a table."""
    return f"{numbers['value']:.3f} ({numbers['low']:.3f} to {numbers['high']:.3f})"


def share(hits: float, total: int) -> Interval:
    """The share of `hits` among `total`, by Wilson: correct near 0 and 1, and for few. A tie may be half a hit; the
    interval is then wider than necessary."""
    if not total:
        return Interval(0.0, 0.0, 1.0)
    rate, room = hits / total, Z * Z / total
    middle = (rate + room / 2) / (1 + room)
    half = Z / (1 + room) * math.sqrt(rate * (1 - rate) / total + room / (4 * total))
    return Interval(rate, max(0.0, middle - half), min(1.0, middle + half))


def mean(values: list[float]) -> Interval:
    """The mean of independent values, by the normal distribution. The interval of a single value is that value."""
    middle = fmean(values)
    half = Z * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Interval(middle, middle - half, middle + half)
