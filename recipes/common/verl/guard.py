"""Ends what a killed stage leaves behind: Ray's agents live on for a minute, inference engines keep GPU memory."""

import os
import shutil
import signal
import time
from pathlib import Path

MARK = "STAGE_SESSION"
"""The variable that every process below the stage inherits; its value is the session's folder."""

POLL_SECONDS = 0.5
GRACE_SECONDS = 2.0
"""For those that notice by themselves."""


def start(folder: Path) -> None:
    """Once this process has ended, however it did, nothing that it or its children started is left, nor `folder`."""
    os.environ[MARK] = str(folder)
    stage = os.getpid()
    if os.fork() == 0:
        os.setsid()  # a kill of the stage's process group spares the guard
        while os.getppid() == stage:
            time.sleep(POLL_SECONDS)
        if folder.exists():
            time.sleep(GRACE_SECONDS)
            for process in marked(f"{MARK}={folder}"):
                os.kill(process, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def marked(variable: str) -> list[int]:
    """Processes of this machine that were started with `variable` (NAME=value) in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile, or another user's
        if variable.encode() in variables:
            found.append(int(process.name))
    return found
