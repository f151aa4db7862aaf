"""Debian's packages, which are installed where a test needs one. Test runs go side by side, and only one of them may
install something at a time."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from launcher.transfer.copy import folder_lock

LOCKS = Path(tempfile.gettempdir()) / "launcher-tests"
"""Folders below it are held by whoever makes what all test runs on this machine share."""
SLURM = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "sbatch": "slurm-client",
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "rsync": "rsync",
}
PACKAGES = {**SLURM, "chromium": "chromium", "debootstrap": "debootstrap", "dockerd": "docker.io", "rclone": "rclone"}
"""Command -> the package that has it, of all that tests use."""
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FRESH = 3600.0
"""Seconds for which Debian's lists are believed."""


def install(*commands: str) -> None:
    """The commands are here, if need be from Debian's packages, none of which starts a service."""
    with folder_lock(LOCKS / "apt"):  # a command is there before its package has been set up
        if not (missing := lacking(commands)):
            return
        if os.geteuid() or not shutil.which("apt-get"):
            without(f"`{missing[0]}` is not here: it needs root and Debian")
        with _no_services():
            _apt(sorted({PACKAGES[command] for command in missing}))


def lacking(commands: Iterable[str]) -> list[str]:
    """Those that are not here."""
    return [command for command in commands if not shutil.which(command, path=f"{os.environ['PATH']}:{SYSTEM}")]


def without(reason: str) -> NoReturn:
    """The test is left out; but a run that is to test everything must not pass without it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def _apt(packages: list[str]) -> None:
    """They are installed; its failure is an AssertionError with what apt-get said."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    updated = LOCKS / "apt/updated"
    commands = [["install", "-y", "--no-install-recommends", *packages]]
    if not updated.exists() or time.time() - updated.stat().st_mtime > FRESH:
        commands.insert(0, ["update"])
    for command in commands:
        done = subprocess.run(["apt-get", "-q", *command], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    if len(commands) > 1:
        updated.touch()


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """What is installed meanwhile starts nothing."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
