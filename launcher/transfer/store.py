"""The store, which has the run folders, and `runs`, which has the exports and reports."""

import re
import shutil
from dataclasses import dataclass

from launcher.config.site import SiteFile, expand_home
from launcher.errors import LaunchError, did_you_mean
from launcher.runfolder.files import write_text
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan, from_json, to_json
from launcher.transfer.copy import push

NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")
"""A run's name is also the name of a cluster: SkyPilot, Slurm and Docker all accept these."""

WORKSPACE = "/workspace"
"""Where run folders are on a rented machine; RunPod mounts its network volumes there."""


@dataclass(frozen=True)
class Store:
    """The two folders of every run."""

    site: SiteFile

    def folder(self, run: str) -> RunFolder:
        """The run folder that the node program works on."""
        return RunFolder((self.site.local_store / run).absolute())

    def results(self, run: str) -> RunFolder:
        """The folder with the export and the report, for the user."""
        return RunFolder((expand_home(self.site.runs) / run).absolute())

    def runs(self) -> list[str]:
        """The names of all runs that were started here, oldest first."""
        plans = self.site.local_store.glob("*/plan.json")
        return [path.parent.name for path in sorted(plans, key=lambda path: path.stat().st_mtime)]

    def existing(self, run: str | None) -> RunFolder:
        """The run folder of a run that exists; of the newest run if `run` is None. Raises LaunchError."""
        runs = self.runs()
        if not runs:
            raise LaunchError(f"there is no run under `{self.site.local_store}`", "start one with `launcher launch`")
        if run is not None and run not in runs:
            raise LaunchError(f"there is no run `{run}`", did_you_mean(run, runs))
        return self.folder(run or runs[-1])


def machine_path(run: str) -> str:
    """The run folder on a rented machine."""
    return f"{WORKSPACE}/{run}"


def run_name(name: str) -> str:
    """`name`, if it can name a run. Raises LaunchError."""
    if not NAME.fullmatch(name):
        raise LaunchError(f"invalid run name `{name}`", "use at most 48 of a-z, 0-9 and -; the first is a letter")
    return name


def read_existing(folder: RunFolder) -> Plan | None:
    """The plan of a run; None without one. Raises LaunchError if it is damaged."""
    try:
        return from_json(folder.plan.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as problem:
        raise LaunchError(f"`{folder.plan}`: {problem}", "start another run with `--run NAME`") from None


def make_folder(plan: Plan, folder: RunFolder) -> None:
    """Makes a folder with the plan and its inputs: all that a node program needs. Raises LaunchError if it exists."""
    if folder.path.exists():
        raise LaunchError(f"`{folder.path}` exists", "name a folder that does not")
    folder.path.mkdir(parents=True)
    write_plan(plan, folder)
    push(plan, folder)


def write_plan(plan: Plan, folder: RunFolder) -> None:
    """Writes plan.json. An earlier one is renamed to plan.1.json, plan.2.json, ..."""
    if folder.plan.exists():
        count = 1
        while (kept := folder.path / f"plan.{count}.json").exists():
            count += 1
        shutil.copyfile(folder.plan, kept)
    write_text(folder.plan, to_json(plan))


def plan_of(folder: RunFolder) -> Plan:
    plan = read_existing(folder)
    if plan is None:
        raise LaunchError(f"`{folder.path}` holds no plan", "`launcher runs` lists the runs there are")
    return plan
