"""What runs on this machine, in its containers too."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


def processes() -> Iterator[tuple[int, bytes]]:
    """Every process with its command line, words with a blank between; no zombies."""
    for folder in Path("/proc").glob("[0-9]*"):
        if words := command(int(folder.name)):
            yield int(folder.name), words


def command(process: int) -> bytes:
    """Its command line; empty when it is gone or a zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ")
    return b""


def parent(process: int) -> int:
    """The process above it; 0 when it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return 0
