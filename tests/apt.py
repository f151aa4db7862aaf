"""Debian's packages. Test runs go side by side, and only one of them may install something at a time."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from launcher.transfer.copy import alone

LOCKS = Path(tempfile.gettempdir()) / "launcher-tests"
"""Folders below it are held by whoever makes what all test runs on this machine share."""


def install(package: str, command: str) -> None:
    """A command is here, if need be from Debian's packages."""
    if shutil.which(command):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        without(f"`{command}` is not here: it needs root and Debian")
    apt(package)


def without(lacking: str) -> NoReturn:
    """The test is left out; but a run that is to test everything must not pass without it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(lacking)


def apt(*packages: str) -> None:
    """They are installed; its failure is an AssertionError with what apt-get said."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with alone(LOCKS / "apt"):
        for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(["apt-get", "-q", *words], env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
