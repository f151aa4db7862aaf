"""The login node of a cluster: runs shell scripts there, and sends files there. Behind ssh, or this machine itself."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.backends.slurm import workspace
from launcher.config.slurm import SlurmSite
from launcher.errors import FAILED, LaunchError
from launcher.transfer.ssh import Remote, Unreachable


@dataclass(frozen=True)
class Login:
    """`remote` is None if this machine is the login node."""

    remote: Remote | None = None

    def run(self, script: str, *arguments: str, timeout: float = 120) -> str:
        """Runs a bash script and returns what it printed. Raises Unreachable, or LaunchError if it fails."""
        argv = ("bash", "-s", "--", *arguments)
        if self.remote:
            try:
                return self.remote.run(*argv, timeout=timeout, text=script)
            except Unreachable as problem:
                host = self.remote.host
                hint = f"`ssh {host}` has to work without a question; log in first where a second factor is asked"
                raise Unreachable(problem.error, f"{hint} (ControlMaster)", FAILED) from None
            except LaunchError as problem:
                raise _failed(problem.error.partition(" failed: ")[2]) from None
        try:
            done = subprocess.run(argv, input=script, capture_output=True, text=True, errors="replace", timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Unreachable(f"the scheduler did not answer for {timeout:.0f} s", "try again", FAILED) from None
        if done.returncode:
            raise _failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
        return done.stdout

    def send(self, folder: Path, names: Sequence[str], there: str) -> None:
        """Copies what is called `names` in `folder` to `there`; on the login node itself it is there already."""
        if self.remote:
            sources = [f"{folder}/./{name}" for name in names]
            self.remote.send(sources, f"{there}/", "--relative", "--checksum")


def resolve_workspace(site: SlurmSite) -> SlurmSite:
    """The site with the path of its workspace in `work`, in place of the name. Raises LaunchError if there is none."""
    if site.workspace is None:
        return site
    path = login_of(site).run(workspace.FIND, site.workspace)
    return site.model_copy(update={"work": workspace.folder(site.work or "", path)})


def _failed(last: str) -> LaunchError:
    return LaunchError(f"the login node: {last}", "`launcher plan` shows what is asked of the cluster", FAILED)


def login_of(site: SlurmSite) -> Login:
    """The cluster's login node."""
    return Login(Remote(site.host, site.ssh_config) if site.host else None)
