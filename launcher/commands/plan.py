"""The plan command: what a launch would do, shown and checked, or written down. What only one of these needs is
imported in it: a plan as JSON needs no screen, and rich takes as long to import as all the rest."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from launcher.config.recipe import names
from launcher.config.site import SiteFile
from launcher.errors import LaunchError
from launcher.planning.code_version import find_root
from launcher.planning.request import Draft, Request, draft


def plan(request: Request, site: SiteFile, as_json: bool, shell: bool, write: Path | None) -> str | None:
    """The plan as a text, where that is asked for; else it is on the screen, or in the run folder `write`."""
    made, root = planned_of(request, site)
    if write:
        _write(made, write)
        return None
    if shell:
        from launcher.planning.shell_script import script

        return script(made.plan)
    if as_json:
        from launcher.runfolder.plan import to_json

        return to_json(made.plan)
    _show(made, root, site)
    return None


def planned_of(request: Request, site: SiteFile) -> tuple[Draft, Path]:
    """The request's plan, and the folder that holds `recipes/`. Raises LaunchError."""
    root = find_root()
    if not request.recipe:
        raise LaunchError("you did not name a recipe", f"choose one of {', '.join(names(root))}")
    return draft(request, root, site), root


def _write(made: Draft, folder: Path) -> None:
    from launcher.runfolder.paths import RunFolder
    from launcher.transfer.store import make_folder
    from launcher.ui import console

    make_folder(made.plan, RunFolder(folder))
    console.say(f"wrote {folder}" + (f"; image {made.plan.image.name}" if made.plan.image else ""))


def _show(made: Draft, root: Path, site: SiteFile) -> None:
    from launcher.preflight import runner

    with ThreadPoolExecutor(2) as beside:
        found = beside.submit(runner.quick, made, root, site)
        forecast = beside.submit(runner.outlook, made, root, site)
        from launcher.ui import console  # rich takes as long as the programs that both start meanwhile

        console.plan(made.plan, found.result(), forecast.result())
