"""Numbers as people read them: times, sizes, a row of numbers as a line of characters. Pure."""

import math
import time
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def duration(seconds: float | None) -> str:
    """`45s`, `12m 05s`, `3h 20m`."""
    if seconds is None:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m {whole % 60:02}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60:02}m"


def moment(seconds: float) -> str:
    """`2026-11-21 18:06 UTC`, of seconds since the epoch: a page says the same wherever it is opened."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def size(amount: float) -> str:
    """Bytes, in powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


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
