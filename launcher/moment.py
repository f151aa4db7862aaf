"""A point in time as people read it: UTC, so that a page says the same wherever it is opened."""

import time


def moment(seconds: float) -> str:
    """`2026-11-21 18:06 UTC`, of seconds since the epoch."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
