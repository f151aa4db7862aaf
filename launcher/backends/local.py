"""This machine: the node program as a background process, the run folder on this disk."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import launcher
from launcher.backends.base import KILLED, End
from launcher.config.secrets import values
from launcher.config.site import SiteFile, expand_home
from launcher.errors import LaunchError
from launcher.runfolder.lock import holder
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.processes import signal_quietly


@dataclass(frozen=True)
class Local:
    """`root` holds recipes/; `python` is the site's word for the Python that runs the stages; `site` knows where the
    run's secrets are."""

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

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        """It is here already."""

    def unsaved(self, folder: RunFolder) -> LaunchError | None:
        """It is here already."""
        return None

    def down(self, folder: RunFolder, why: str) -> None:
        """This machine costs nothing."""


@dataclass(frozen=True)
class LocalWork:
    """A node program known by the lock it holds; one that was started here also by its process, which may not hold
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
        end = time.monotonic() + patience
        while holder(self.folder.lock) is not None or self.end() is None:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True


def find_python(root: Path, wanted: str | None) -> Path:
    """The Python with the rehearsal's packages: the site's, or the one `make setup-cpu` makes."""
    python = expand_home(wanted) if wanted else root / ".venv-cpu" / "bin" / "python"
    if not python.exists():
        where = "site.yaml says so" if wanted else "the recipes' CPU environment is not made yet"
        raise LaunchError(
            f"`{python}` does not exist: {where}",
            "run `make setup-cpu`, or name a Python in site.yaml under `local.python`",
        )
    return python
