"""From the words of a command line to a plan: the files are read here, so that planning itself can be pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launcher.code import code_of
from launcher.errors import LaunchError, did_you_mean
from launcher.inputs import measure
from launcher.job import read_job
from launcher.node.records import Budget, Input, Machine, Plan
from launcher.pins import read_pins
from launcher.plan import Choice, World, plan
from launcher.recipe import REHEARSAL, Recipe, families, read_recipe
from launcher.settings import parse_change
from launcher.site import CLOUDS, SiteFile
from launcher.store import run_name


@dataclass(frozen=True)
class Request:
    """What the user asked for. `data`: NAME=FILE; a FILE alone is `train`. `changes`: NAME=VALUE."""

    recipe: str
    cloud: str = "local"
    run: str | None = None
    stages: str = "default"
    data: Sequence[str] = ()
    changes: Sequence[str] = ()
    max_cost: float | None = None
    max_hours: float | None = None


@dataclass(frozen=True)
class Planned:
    """A plan and the recipe it was made from."""

    plan: Plan
    recipe: Recipe
    inputs: Mapping[str, Input] = field(default_factory=dict)


def planned(request: Request, root: Path, site: SiteFile) -> Planned:
    """The plan of a request. Raises LaunchError."""
    if request.cloud not in CLOUDS:
        raise LaunchError(f"`{request.cloud}` is no cloud of ours", did_you_mean(request.cloud, CLOUDS))
    recipe = read_recipe(request.recipe, root)
    inputs = _inputs(recipe, request.data, root)
    choice = Choice(
        run=run_name(request.run or recipe.name.replace("_", "-")),
        stages=request.stages,
        changes=[parse_change(text) for text in request.changes],
    )
    world = World(
        pins=read_pins(recipe.folder / "pins.lock.json"),
        code=code_of(root, recipe.family),
        inputs=inputs,
        machine=_machine(request.cloud, recipe, root),
        budget=Budget(
            site.budget.max_cost if request.max_cost is None else request.max_cost,
            site.budget.max_hours if request.max_hours is None else request.max_hours,
        ),
    )
    return Planned(plan(recipe, choice, world), recipe, inputs)


def rehearsal_of(request: Request, root: Path) -> Request:
    """The same family's smallest size on this machine. Raises LaunchError when the recipe does not exist."""
    recipe = read_recipe(request.recipe, root)
    name = f"{recipe.family}-{REHEARSAL}"
    run = request.run or f"{recipe.family}-rehearsal".replace("_", "-")
    return Request(name, "local", run, request.stages, request.data, request.changes)


def any_family(root: Path) -> str:
    """The rehearsal of the first family: what `rehearse` without a recipe runs. Raises LaunchError."""
    found = families(root)
    if not found:
        raise LaunchError(f"there is no recipe under `{root / 'recipes'}`", "run this in the project's folder")
    return f"{'gad' if 'gad' in found else found[0]}-{REHEARSAL}"


def _inputs(recipe: Recipe, data: Sequence[str], root: Path) -> dict[str, Input]:
    specs = {**recipe.file.inputs, **recipe.change.inputs}
    found: dict[str, Input] = {}
    for text in data:
        name, equals, path = text.partition("=")
        if not equals:
            name, path = "train", text
        if name not in specs:
            raise LaunchError(f"`--data {text}`: the recipe has no input `{name}`", did_you_mean(name, specs))
        found[name] = measure(name, Path(path).expanduser())
    for name, spec in specs.items():
        if name not in found and spec.default:
            found[name] = measure(name, _relative(root / spec.default))
    return found


def _relative(path: Path) -> Path:
    """As seen from here, so that the same plan comes out of every clone."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _machine(cloud: str, recipe: Recipe, root: Path) -> Machine:
    if cloud in ("local", "docker"):
        return Machine(cloud)
    job = read_job(root / "jobs" / f"{recipe.name}.yaml")
    return Machine(cloud, job.accelerators, job.nodes, job.disk_gb, job.image)
