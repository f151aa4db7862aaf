"""A data file of the user's, measured: how many rows, how many bytes, which content."""

import os
from pathlib import Path

from launcher.errors import LaunchError
from launcher.runfolder.files import sha256
from launcher.runfolder.plan import Input

KINDS = (".parquet", ".jsonl")


def measure(name: str, path: Path) -> Input:
    """The input `name` as the plan records it. Raises LaunchError when there is no such file or it cannot be read."""
    if path.suffix not in KINDS:
        raise LaunchError(f"input `{name}`: `{path}` is neither .parquet nor .jsonl", "convert it to one of them")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise LaunchError(f"input `{name}`: the name `{path}` is not UTF-8", "rename the file") from None
    if not os.path.isfile(path):  # unlike Path's, no error for a name that no file can have
        raise LaunchError(f"input `{name}`: `{path}` is no file", "check the path")
    rows = _parquet_rows(name, path) if path.suffix == ".parquet" else _lines(path)
    if rows == 0:
        raise LaunchError(f"input `{name}`: `{path}` has no rows", "give a file with data")
    return Input(str(path), f"{name}{path.suffix}", path.stat().st_size, sha256(path), rows)


def _parquet_rows(name: str, path: Path) -> int:
    import pyarrow
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(path).num_rows)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError):
        raise LaunchError(f"input `{name}`: `{path}` is no parquet file", "copy it again: it may be cut off") from None


def _lines(path: Path) -> int:
    count, last = 0, b"\n"
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            count, last = count + block.count(b"\n"), block[-1:]
    return count + (last != b"\n")
