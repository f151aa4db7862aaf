"""This machine: the node program is a background process, and the run folder is on this disk."""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import launcher
from launcher.backends.base import KILLED, Backend, End, Work, wait_until
from launcher.config.secrets import values
from launcher.config.site import SiteFile, expand_home
from launcher.errors import LaunchError
from launcher.interrupts import interruptible_after
from launcher.runfolder.lock import holder
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.processes import signal_quietly


@dataclass(frozen=True)
class Local(Backend):
    """`root` holds recipes/; `python` is the interpreter of the stages, if site.yaml names one; `site` says where the
    secrets of the run are."""

    root: Path
    python: str | None = None
    site: SiteFile = field(default_factory=SiteFile)

    def start(self, plan: Plan, folder: RunFolder) -> "LocalWork":
        package = str(Path(launcher.__file__).resolve().parent.parent)
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        python = find_python(self.root, self.python)
        argv = [str(python), "-m", "launcher.node", str(folder.path), "--code", str(self.root)]
        with open(folder.node_log, "ab") as log:
            process = subprocess.Popen(
                argv,
                cwd=self.root,
                env={**os.environ, **values(plan, self.site, os.environ), "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return LocalWork(folder, process)

    def find(self, folder: RunFolder) -> "LocalWork | None":
        return None if holder(folder.lock) is None else LocalWork(folder)


@dataclass(frozen=True)
class LocalWork(Work):
    """A node program that holds the lock of the run folder. `process` is known if it was started here; it may not hold
    the lock yet."""

    folder: RunFolder
    process: "subprocess.Popen[bytes] | None" = None

    def end(self) -> End | None:
        if self.process is None:
            return End(None) if holder(self.folder.lock) is None else None
        code = self.process.poll()
        return None if code is None else End(KILLED - code if code < 0 else code)

    def stop(self, patience: float) -> bool:
        if process := holder(self.folder.lock):
            signal_quietly(process, signal.SIGTERM)
        if self.process and self.process.pid != process:
            self.process.terminate()
        return wait_until(lambda: holder(self.folder.lock) is None and self.end() is not None, patience, 0.1)


def run_recipe_command(root: Path, python: Path, module: str, arguments: Sequence[str]) -> int:
    """The exit code of a command of the recipes, which reads and prints in this terminal. Ctrl-C is left to it."""
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    with interruptible_after():
        argv = [str(python), "-m", module, *arguments]
        return subprocess.run(argv, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


def find_python(root: Path, of_site: str | None) -> Path:
    """The interpreter with the packages of the stages: the one in site.yaml, or the one that `make setup-cpu` makes.
    Raises LaunchError if it does not exist."""
    python = expand_home(of_site) if of_site else root / ".venv-cpu" / "bin" / "python"
    if not python.exists():
        reason = "site.yaml names it" if of_site else "the CPU environment of the recipes is not made yet"
        raise LaunchError(
            f"`{python}` does not exist: {reason}",
            "run `make setup-cpu`, or name a Python in site.yaml under `local.python`",
        )
    return python
