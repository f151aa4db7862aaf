"""Debian's packages. Test runs go side by side, and only one of them may install something at a time."""

import contextlib
import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(what: str) -> Iterator[None]:
    """No other test run on this machine is in such a block meanwhile."""
    with open(Path(tempfile.gettempdir()) / f"launcher-tests-{what}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def apt(*packages: str) -> None:
    """They are installed; its failure is an AssertionError with what apt-get said."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with alone("apt"):
        for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(["apt-get", "-q", *words], env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
