"""The plan, lock and image commands: what a launch would do, and the pins and the image it needs. What only one of them
needs is imported in its function: rich takes as long to import as all the rest, and `plan --json` needs none of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from launcher.config.job import read_job
from launcher.config.recipe import REHEARSAL, Recipe, families, names, read_recipe
from launcher.config.site import SiteFile
from launcher.errors import LaunchError
from launcher.planning.code_version import code_of, find_root
from launcher.planning.request import Draft, Request, draft, variant_of


def plan(request: Request, site: SiteFile, as_json: bool, shell: bool, write: Path | None) -> str | None:
    """Returns the plan as JSON or as a shell script, or else prints it, or writes the run folder `write`."""
    result, root = planned_of(request, site)
    if write:
        _write(result, write)
        return None
    if shell:
        from launcher.planning.shell_script import script

        return script(result.plan)
    if as_json:
        from launcher.runfolder.plan import to_json

        return to_json(result.plan)
    _show(result, root, site)
    return None


def planned_of(request: Request, site: SiteFile) -> tuple[Draft, Path]:
    """The request's plan, and the folder that holds `recipes/`. Raises LaunchError."""
    root = find_root()
    if not request.recipe:
        raise LaunchError("you did not name a recipe", f"choose one of {', '.join(names(root))}")
    return draft(request, root, site), root


def lock(name: str) -> None:
    """Writes the commits that the recipe's refs stand for now into its lock file, and prints each."""
    from launcher.config.pins import Pins, read_pins, write_pins
    from launcher.planning.lock import resolve
    from launcher.ui import console

    recipe = read_recipe(name, find_root())
    path = recipe.folder / "pins.lock.json"
    old, new = read_pins(path), resolve(recipe)
    write_pins(path, Pins({**old.sources, **new.sources}, {**old.models, **new.models}))
    for pin, commit in {**new.sources, **new.models}.items():
        before = {**old.sources, **old.models}.get(pin)
        console.say(f"{pin} {commit[:12]}" + (f" (was {before[:12]})" if before and before != commit else ""))
    console.say(f"wrote {path}")


def build_images(name: str | None, variant: str | None, base: str | None, push: str | None, site: SiteFile) -> None:
    """Builds the image of the recipe, of the family, or of all families, and prints its name."""
    from launcher.images.docker_engine import ImageRequest, build
    from launcher.ui import console

    root = find_root()
    registry = push or site.registry
    for recipe in _recipes(name, root):
        kind = variant or (_variant(recipe, root) if recipe.name == name else "cuda")
        order = ImageRequest(root, recipe.file.image, recipe.family, kind, registry, base, push is not None)
        image = build(order, code_of(root, recipe.family, imaged=True), console.say_raw)
        console.say(f"image     {image.name}")


def _write(result: Draft, folder: Path) -> None:
    from launcher.runfolder.paths import RunFolder
    from launcher.transfer.store import make_folder
    from launcher.ui import console

    make_folder(result.plan, RunFolder(folder))
    console.say(f"wrote {folder}" + (f"; image {result.plan.image.name}" if result.plan.image else ""))


def _show(result: Draft, root: Path, site: SiteFile) -> None:
    from launcher.preflight import runner

    with ThreadPoolExecutor(2) as pool:
        findings = pool.submit(runner.quick, result, root, site)
        forecast = pool.submit(runner.outlook, result, root, site)
        from launcher.ui import console  # its import takes as long as the programs that the two checks start meanwhile

        console.show_plan(result.plan, findings.result(), forecast.result())


def _recipes(name: str | None, root: Path) -> list[Recipe]:
    if name is not None and name not in families(root):
        return [read_recipe(name, root)]
    chosen = [name] if name is not None else families(root)
    if not chosen:
        raise LaunchError(f"there is no recipe under `{root / 'recipes'}`", "run this in the project's folder")
    return [read_recipe(_smallest(family, root), root) for family in chosen]


def _variant(recipe: Recipe, root: Path) -> str:
    return variant_of(read_job(root / "jobs" / f"{recipe.name}.yaml"))


def _smallest(family: str, root: Path) -> str:
    """The family's rehearsal, or its first recipe if it has none."""
    rehearsal, recipes = f"{family}-{REHEARSAL}", names(root)
    return rehearsal if rehearsal in recipes else next(name for name in recipes if name.startswith(f"{family}-"))
