"""Where run folders live: the machine's side (`store`) and the user's side (`runs`)."""

import re
from dataclasses import dataclass

from launcher.errors import LaunchError, did_you_mean
from launcher.node.folder import RunFolder
from launcher.site import SiteFile

NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")
"""A run's name is a cluster's name too: SkyPilot, Slurm and Docker all take these."""


@dataclass(frozen=True)
class Store:
    """The two folders of every run of a site."""

    site: SiteFile

    def machine(self, run: str) -> RunFolder:
        """The run folder that the node program works on."""
        return RunFolder((self.site.local_store / run).absolute())

    def home(self, run: str) -> RunFolder:
        """The folder that results are brought home to."""
        return RunFolder((self.site.runs.expanduser() / run).absolute())

    def runs(self) -> list[str]:
        """The names of all runs that were ever started here, oldest first."""
        plans = self.site.local_store.glob("*/plan.json")
        return [path.parent.name for path in sorted(plans, key=lambda path: path.stat().st_mtime)]

    def existing(self, run: str | None) -> RunFolder:
        """The machine's folder of a run that exists; of the newest one when `run` is None. Raises LaunchError."""
        runs = self.runs()
        if not runs:
            raise LaunchError(f"there is no run under `{self.site.local_store}`", "start one with `launcher launch`")
        if run is not None and run not in runs:
            raise LaunchError(f"there is no run `{run}`", did_you_mean(run, runs))
        return self.machine(run or runs[-1])


def run_name(wanted: str) -> str:
    """`wanted`, if it can name a run. Raises LaunchError."""
    if not NAME.fullmatch(wanted):
        raise LaunchError(f"`{wanted}` cannot name a run", "use up to 48 of a-z, 0-9 and -, beginning with a letter")
    return wanted
