"""From the words of a command line to a plan: the files are read here, and the user's data is measured, so that
planning itself can be pure."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from launcher.clouds.providers import clouds_of
from launcher.config.job import Job, read_job
from launcher.config.pins import read_pins
from launcher.config.recipe import REHEARSAL, Recipe, families, read_recipe
from launcher.config.site import SiteFile, expand_home
from launcher.errors import LaunchError, check_known
from launcher.images.docker_engine import digest_of
from launcher.images.identity import environment_of, image_of
from launcher.planning.code_version import code_of, last_commit
from launcher.planning.plan import Choice, World, plan
from launcher.planning.settings import parse_change, with_rounds
from launcher.runfolder.files import sha256
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Bucket, Budget, Code, Image, Input, Machine, Plan
from launcher.transfer.store import run_name

KINDS = (".parquet", ".jsonl")


@dataclass(frozen=True)
class Request:
    """What the user asked for. `data`: NAME=FILE; a FILE alone is `train`. `changes`: NAME=VALUE."""

    recipe: str
    cloud: str = "local"
    run: str | None = None
    stages: str = "default"
    rounds: int = 1
    """How often the stages of the list's `rounds` are done."""
    data: Sequence[str] = ()
    changes: Sequence[str] = ()
    max_cost: float | None = None
    max_hours: float | None = None
    dirty: bool = False
    """Whether code that is not committed may be laid over the image's."""
    gpus: str | None = None
    """`NAME:COUNT`, or several with commas: instead of the job file's accelerators."""
    force: Sequence[str] = ()
    """Checks whose refusal the user takes upon himself."""


@dataclass(frozen=True)
class Draft:
    """A plan, and the recipe and the job file it was made from."""

    plan: Plan
    recipe: Recipe
    inputs: Mapping[str, Input] = field(default_factory=dict)
    job: Job | None = None


def draft(request: Request, root: Path, site: SiteFile) -> Draft:
    """The plan of a request. Raises LaunchError."""
    clouds_of(request.cloud)
    recipe = with_rounds(read_recipe(request.recipe, root), request.stages, request.rounds)
    inputs = _inputs(recipe, request.data, root)
    choice = Choice(
        run=run_name(request.run or recipe.name.replace("_", "-")),
        stages=request.stages,
        changes=[parse_change(text) for text in request.changes],
    )
    job = None if request.cloud == "local" else _job(request, root / "jobs" / f"{recipe.name}.yaml")
    software = site.slurm.software if request.cloud == "slurm" and site.slurm else None
    imaged = job is not None and software != "environment"
    code = code_of(root, recipe.family, imaged)
    image, environment = None, environment_of(root, variant_of(job) if job else "cpu")
    if job and imaged:
        image, environment = _image(recipe, request, job, code, root, site)
    world = World(
        pins=read_pins(recipe.folder / "pins.lock.json"),
        code=code,
        inputs=inputs,
        machine=Machine(request.cloud, job.accelerators, job.nodes, job.disk_gb, software)
        if job
        else Machine(request.cloud),
        image=image,
        environment=environment,
        bucket=Bucket(**site.bucket.model_dump()) if site.bucket else None,
        budget=Budget(
            site.budget.max_cost if request.max_cost is None else request.max_cost,
            site.budget.max_hours if request.max_hours is None else request.max_hours,
        ),
    )
    return Draft(replace(plan(recipe, choice, world), forced=tuple(sorted(set(request.force)))), recipe, inputs, job)


def rehearsal_of(request: Request, root: Path) -> Request:
    """The same family's smallest size, on this machine's CPU; a family alone is enough. Raises LaunchError when there
    is none."""
    family = request.recipe if request.recipe in families(root) else read_recipe(request.recipe, root).family
    name = f"{family}-{REHEARSAL}"
    run = request.run or f"{family}-rehearsal".replace("_", "-")
    return replace(request, recipe=name, run=run)


def any_family(root: Path) -> str:
    """The rehearsal of the first family: what `rehearse` without a recipe runs. Raises LaunchError."""
    names = families(root)
    if not names:
        raise LaunchError(f"there is no recipe under `{root / 'recipes'}`", "run this in the project's folder")
    return f"{'gad' if 'gad' in names else names[0]}-{REHEARSAL}"


def _job(request: Request, path: Path) -> Job:
    job = read_job(path)
    if request.gpus is None:
        return job
    accelerators = tuple(name if ":" in name else f"{name}:1" for name in request.gpus.split(","))
    if wrong := next((name for name in accelerators if not re.fullmatch(r"[\w.-]+:[1-9]\d*", name)), None):
        raise LaunchError(
            f"`--gpus {request.gpus}`: `{wrong}` must look like H100:2", "for example `--gpus H100-SXM:8,H200-SXM:4`"
        )
    return replace(job, accelerators=accelerators)


def _inputs(recipe: Recipe, data: Sequence[str], root: Path) -> dict[str, Input]:
    specs = {**recipe.file.inputs, **recipe.change.inputs}
    inputs: dict[str, Input] = {}
    for text in data:
        name, equals, path = text.partition("=")
        if not equals:
            name, path = "train", text
        check_known(name, specs, f"`--data {text}`: the recipe has no input `{name}`")
        inputs[name] = measure(name, expand_home(path))
    for name, spec in specs.items():
        if name not in inputs and spec.default:
            inputs[name] = measure(name, _relative(root / spec.default))
    return inputs


def _relative(path: Path) -> Path:
    """As seen from here, so that the same plan comes out of every clone."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def variant_of(job: Job) -> str:
    """The variant of a recipe's image that a job file's machine needs."""
    return "cuda" if job.accelerators else "cpu"


def _image(
    recipe: Recipe, request: Request, job: Job, code: Code, root: Path, site: SiteFile
) -> tuple[Image, str | None]:
    """The image that the files describe, and the identity of its packages; the files of the last commit when what
    changed since is laid over it. A name in the job file goes before ours."""
    overlay = code.dirty and request.dirty
    with last_commit(root) if overlay else nullcontext(root) as folder:
        image = image_of(folder, recipe.file.image, recipe.family, variant_of(job), site.registry)
        environment = environment_of(folder, image.variant)
    name, _, digest = (job.image or "").removeprefix("docker:").partition("@")
    if name:
        return replace(image, name=name, digest=digest or None, overlay=overlay), environment
    local = digest_of(image.name) if request.cloud == "docker" else None
    return replace(image, digest=local, overlay=overlay), environment


def continuation(old: Plan, folder: RunFolder, request: Request, root: Path, site: SiteFile) -> Draft:
    """`old`, which lies in `folder`, for the request's cloud and budget. Its inputs need not be where they were. Raises
    LaunchError."""
    new = draft(replace(request, recipe=old.recipe, run=old.run), root, site)
    of_launch = ("machine", "image", "environment", "code", "budget", "bucket", "forced")
    plan = replace(old, **{name: getattr(new.plan, name) for name in of_launch})
    inputs = {name: replace(file, path=str(folder.inputs / file.file)) for name, file in old.inputs.items()}
    return Draft(plan, new.recipe, inputs, new.job)


def measure(name: str, path: Path) -> Input:
    """The input `name` as the plan records it. Raises LaunchError when there is no such file or it cannot be read."""
    if path.suffix not in KINDS:
        raise LaunchError(f"input `{name}`: `{path}` is neither .parquet nor .jsonl", "convert it to one of them")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise LaunchError(f"input `{name}`: the name `{path}` is not UTF-8", "rename the file") from None
    if not os.path.isfile(path):  # unlike Path's, no error for a name that no file can have
        raise LaunchError(f"input `{name}`: `{path}` is not a file", "check the path")
    rows = _parquet_rows(name, path) if path.suffix == ".parquet" else _lines(path)
    if rows == 0:
        raise LaunchError(f"input `{name}`: `{path}` has no rows", "give a file with data")
    return Input(str(path), f"{name}{path.suffix}", path.stat().st_size, sha256(path), rows)


def _parquet_rows(name: str, path: Path) -> int:
    import pyarrow
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(path).num_rows)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError):
        error = f"input `{name}`: `{path}` is not a parquet file"
        raise LaunchError(error, "copy it again: it may be cut off") from None


def _lines(path: Path) -> int:
    count, last = 0, b"\n"
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            count, last = count + block.count(b"\n"), block[-1:]
    return count + (last != b"\n")
