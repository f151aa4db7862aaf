"""The pull, verify and convert commands: copy the export of a run to this computer, compare it with the manifest, and
make a model of any checkpoint."""

from collections.abc import Mapping
from pathlib import Path

from launcher.backends.base import Backend
from launcher.backends.local import find_python, run_recipe_command
from launcher.backends.select import backend_of
from launcher.config.site import SiteFile
from launcher.errors import FAILED, LaunchError
from launcher.format import size
from launcher.planning.code_version import find_root
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.copy import folder_lock, pull
from launcher.transfer.store import plan_of
from launcher.transfer.verify import check_model, demand_own_weights, faults, read_manifest
from launcher.ui import console
from launcher.ui.live import Bar


def bring(plan: Plan, source: RunFolder, target: RunFolder, backend: Backend) -> None:
    """Pulls the export of a run from its run folder `source`, compares every file with the manifest, loads the model,
    and prints what was copied."""
    backend.fetch(plan, source)
    manifest = read_manifest(source)
    total = sum(file["bytes"] for file in manifest["export"].values())
    with folder_lock(target.path, console.say), Bar("pull", total) as bar:
        pull(source, target, bar.add)
    console.say(f"pulled    {len(manifest['export'])} files, {size(total)}, all sha256 match the manifest")
    if (model := check_model(target.export))["tensors"]:
        console.say(f"loaded    {model['tensors']:,} tensors, {model['parameters']:,} parameters")


def pull_run(source: RunFolder, target: RunFolder, site: SiteFile) -> None:
    """As `bring`, for a run that was launched before."""
    plan = plan_of(source)
    bring(plan, source, target, backend_of(plan.machine.cloud, find_root(), site))


def verify(folder: RunFolder) -> None:
    """Compares every byte of the pulled export with the manifest and says that all match. Raises LaunchError with exit
    code 3 if one does not, or if no program can load the model: a pull copies the manifest only if one can."""
    if not folder.manifest.exists():
        check_model(folder.export)
    demand_whole(folder, every_byte=True)
    console.say(f"{folder.export}: all files match the manifest")


def convert(checkpoint: Path, out: Path, options: Mapping[str, object], site: SiteFile) -> int:
    """The exit code of the recipes' own command, in the CPU environment: an option that is None is left to it."""
    root = find_root()
    if not (root / "recipes" / "common" / "convert.py").is_file():
        raise LaunchError(f"`{root / 'recipes'}`: no `common/convert.py`", "run it in the launcher's own folder")
    python = find_python(root, site.local.python)
    named = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    return run_recipe_command(root, python, "recipes.common.convert", [*named, "--", str(checkpoint), str(out)])


def demand_whole(folder: RunFolder, every_byte: bool) -> None:
    """Raises LaunchError if a file of the pulled export is not as the manifest says, or if no program can load the
    model; without `every_byte` only sizes are compared."""
    if damage := faults(folder, every_byte):
        hint = f"`launcher pull {folder.path.name}` copies the damaged files again"
        raise LaunchError("; ".join(damage), hint, FAILED)
    demand_own_weights(folder, read_manifest(folder))
    check_model(folder.export)
