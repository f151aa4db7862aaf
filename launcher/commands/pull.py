"""The pull and verify commands: a run's export brought here, and compared with its manifest."""

from launcher.backends.base import Backend
from launcher.backends.select import backend_of
from launcher.config.site import SiteFile
from launcher.errors import FAILED, LaunchError
from launcher.format import size
from launcher.planning.code_version import find_root
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.copy import folder_lock, pull
from launcher.transfer.store import plan_of
from launcher.transfer.verify import check_model, faults, read_manifest
from launcher.ui import console
from launcher.ui.live import Bar


def bring(plan: Plan, machine: RunFolder, back: RunFolder, backend: Backend) -> None:
    """The run's export is at home, verified, and can be opened; what was moved is on the screen."""
    backend.fetch(plan, machine)
    manifest = read_manifest(machine)
    total = sum(one["bytes"] for one in manifest["export"].values())
    with folder_lock(back.path), Bar("pull", total) as bar:
        pull(machine, back, bar.add)
    console.say(f"pulled    {len(manifest['export'])} files, {size(total)}, all sha256 match the manifest")
    if (found := check_model(back.export))["tensors"]:
        console.say(f"loaded    {found['tensors']:,} tensors, {found['parameters']:,} parameters")


def pull_run(machine: RunFolder, back: RunFolder, site: SiteFile) -> None:
    """As `bring`, for a run that was launched before."""
    plan = plan_of(machine)
    bring(plan, machine, back, backend_of(plan.machine.cloud, find_root(), site))


def verify(back: RunFolder) -> None:
    """Says that every byte at home is as exported. Raises LaunchError with exit code 3 when one is not."""
    demand_whole(back, every_byte=True)
    console.say(f"{back.export}: all files match the manifest")


def demand_whole(back: RunFolder, every_byte: bool) -> None:
    if found := faults(back, every_byte):
        raise LaunchError("; ".join(found), f"`launcher pull {back.path.name}` copies the damaged files again", FAILED)
