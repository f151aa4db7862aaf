"""This machine: the node program as a background process, the run folder on this disk."""

import os
import signal
import subprocess
import time
from pathlib import Path

import launcher
from launcher.errors import LaunchError
from launcher.node.folder import RunFolder
from launcher.node.lock import holder
from launcher.node.processes import signal_quietly


def launch(folder: RunFolder, code: Path, python: Path) -> "subprocess.Popen[bytes]":
    """A node program works on the run folder and lives on when this process ends. Its output goes to node.log."""
    package = str(Path(launcher.__file__).resolve().parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    argv = [str(python), "-m", "launcher.node", str(folder.path), "--code", str(code)]
    with open(folder.node_log, "ab") as log:
        return subprocess.Popen(
            argv,
            cwd=code,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def is_running(folder: RunFolder) -> bool:
    """Whether a node program, or something it left behind, works on the run folder."""
    return holder(folder.lock) is not None


def stop(folder: RunFolder, patience: float, started: "subprocess.Popen[bytes] | None" = None) -> bool:
    """Asks the node program to checkpoint and end; whether it has ended after `patience` seconds. One that was just
    `started` may not hold the lock yet, by which the others are known."""
    if process := holder(folder.lock):
        signal_quietly(process, signal.SIGTERM)
    if started and started.pid != process:
        started.terminate()
    end = time.monotonic() + patience
    while is_running(folder) or (started and started.poll() is None):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def find_python(root: Path, wanted: str | None) -> Path:
    """The Python with the rehearsal's packages: the site's, or the one `make setup-cpu` makes."""
    python = Path(wanted).expanduser() if wanted else root / ".venv-cpu" / "bin" / "python"
    if not python.exists():
        where = "site.yaml says so" if wanted else "the recipes' CPU environment is not made yet"
        raise LaunchError(
            f"`{python}` does not exist: {where}",
            "run `make setup-cpu`, or name a Python in site.yaml under `local.python`",
        )
    return python
