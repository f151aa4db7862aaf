"""Seconds as people read them. Pure."""


def duration(seconds: float | None) -> str:
    """`45s`, `12m 05s`, `3h 20m`."""
    if seconds is None:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m {whole % 60:02}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60:02}m"
