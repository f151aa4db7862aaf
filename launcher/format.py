"""Numbers as people read them: times, sizes, a curve as a line of characters. Pure."""

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
    """`2026-11-21 18:06 UTC`, from seconds since the epoch: a page shows the same time in every time zone."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def size(amount: float) -> str:
    """Bytes, in powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` characters that draw `values` as a curve. Each character is the mean of an equal part of the
    values; a part without a finite number is a blank."""
    count = min(width, len(values))
    shares = [values[index * len(values) // count : (index + 1) * len(values) // count] for index in range(count)]
    finite = [[value for value in share if math.isfinite(value)] for share in shares]
    means = [sum(share) / len(share) if share else None for share in finite]
    known = [mean for mean in means if mean is not None]
    if not known:
        return " " * count
    low, high = min(known), max(known)
    return "".join(" " if mean is None else BARS[_height(mean, low, high)] for mean in means)


def _height(value: float, low: float, high: float) -> int:
    if high <= low:
        return 3
    return min(len(BARS) - 1, int((value / 2 - low / 2) / (high / 2 - low / 2) * len(BARS)))
