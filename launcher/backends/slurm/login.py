"""A cluster's login node: shell scripts run there, folders sent there. Behind ssh, or this machine itself."""

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
    """`remote` is None where this machine is the login node."""

    remote: Remote | None = None

    def said(self, script: str, *words: str, timeout: float = 120) -> str:
        """What a bash script printed that got `words`. Raises Unreachable, or LaunchError when it fails."""
        argv = ("bash", "-s", "--", *words)
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
        """What is called `names` below `folder` lies below `there` too; nothing moves where both are one place."""
        if self.remote:
            here = [f"{folder}/./{name}" for name in names]
            self.remote.send(here, f"{there}/", "--relative", "--checksum")


def placed(site: SlurmSite) -> SlurmSite:
    """The site, in whose `work` a workspace's path stands for its name. Raises LaunchError when there is none."""
    if not (site.work or "").startswith("ws:"):
        return site
    found = login_of(site).said(workspace.FIND, workspace.name_of(site.work or ""))
    return site.model_copy(update={"work": workspace.place(site.work or "", found)})


def _failed(last: str) -> LaunchError:
    return LaunchError(f"the login node: {last}", "`launcher plan` shows what is asked of the cluster", FAILED)


def login_of(site: SlurmSite) -> Login:
    """The cluster's login node."""
    return Login(Remote(site.host, site.ssh_config) if site.host else None)
