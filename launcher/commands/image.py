"""The image command: the images of recipes, built and pushed."""

from pathlib import Path

from launcher.config.job import read_job
from launcher.config.recipe import REHEARSAL, Recipe, families, names, read_recipe
from launcher.config.site import SiteFile
from launcher.errors import LaunchError
from launcher.images.docker_engine import ImageRequest, build
from launcher.planning.code_version import code_of, find_root
from launcher.planning.request import variant_of
from launcher.ui import console


def images(name: str | None, variant: str | None, base: str | None, push: str | None, site: SiteFile) -> None:
    """The engine holds the image of the recipe, of the family, or of all families; each name is on the screen."""
    root = find_root()
    for recipe in _recipes(name, root):
        kind = variant or (_variant(recipe, root) if recipe.name == name else "cuda")
        wanted = ImageRequest(
            root, recipe.file.image, recipe.family, kind, push or site.registry, base, push is not None
        )
        made = build(wanted, code_of(root, recipe.family, imaged=True), console.say_raw)
        console.say(f"image     {made.name}")


def _recipes(name: str | None, root: Path) -> list[Recipe]:
    if name is not None and name not in families(root):
        return [read_recipe(name, root)]
    chosen = [name] if name is not None else families(root)
    if not chosen:
        raise LaunchError(f"there is no recipe under `{root / 'recipes'}`", "run this in the project's folder")
    return [read_recipe(_smallest(family, root), root) for family in chosen]


def _smallest(family: str, root: Path) -> str:
    wanted = f"{family}-{REHEARSAL}"
    return wanted if wanted in names(root) else next(one for one in names(root) if one.startswith(f"{family}-"))


def _variant(recipe: Recipe, root: Path) -> str:
    return variant_of(read_job(root / "jobs" / f"{recipe.name}.yaml"))
