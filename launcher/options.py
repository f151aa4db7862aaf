"""The arguments and options of the commands: their names, their help, and what a shell completes. A name that cannot be
read is not completed; a shell shows no error while you type."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from launcher.config.site import SiteFile
    from launcher.planning.request import Request
    from launcher.transfer.store import Store

Names = Callable[[typer.Context], Iterable[str]]


def _completed(names: Names) -> Callable[[typer.Context, str], list[str]]:
    """What a shell offers: the names that begin with what is typed; after a comma, with what follows it."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        head, comma, beginning = incomplete.rpartition(",")
        try:
            return [f"{head}{comma}{name}" for name in names(context) if name.startswith(beginning)]
        except Exception:  # whatever is wrong with a file: the command itself prints it, with a hint
            return []

    return complete


def _recipes(context: typer.Context) -> list[str]:
    from launcher.config.recipe import names
    from launcher.planning.code_version import find_root

    return names(find_root())


def _families_and_recipes(context: typer.Context) -> list[str]:
    from launcher.config.recipe import families
    from launcher.planning.code_version import find_root

    return [*families(find_root()), *_recipes(context)]


def _stage_lists(context: typer.Context) -> Iterable[str]:
    from launcher.config.recipe import read_recipe
    from launcher.planning.code_version import find_root

    return read_recipe(_first(context), find_root()).file.lists


def _runs(context: typer.Context) -> list[str]:
    return store().runs()


def _stages(context: typer.Context) -> list[str]:
    """The stages of the run that the command line names; of the newest run if it names none."""
    from launcher.transfer.store import plan_of

    run = context.params.get("resume") or context.params.get("run") or _first(context).replace("_", "-")
    return [stage.name for stage in plan_of(store().existing(run or None)).stages]


def _first(context: typer.Context) -> str:
    """The recipe or the run that the command line names first. Behind an option without a value it is not read yet."""
    return context.params.get("recipe") or next(iter(context.args), "")


def _clouds(context: typer.Context) -> list[str]:
    from launcher.clouds.providers import cloud_names

    return list(cloud_names())


def _checks(context: typer.Context) -> Iterable[str]:
    from launcher.preflight.runner import CHECKS

    return dict.fromkeys(check.name for check in CHECKS)


def site() -> "SiteFile":
    """The user's site.yaml."""
    from launcher.config.site import read_site, site_path

    return read_site(site_path())


def store() -> "Store":
    """The store that site.yaml names."""
    from launcher.transfer.store import Store

    return Store(site())


def request(context: typer.Context, **given: Any) -> "Request":
    """What the user asked for: the command's arguments and options that are fields of a request, and `given`."""
    from launcher.planning.request import Request

    names = {field.name for field in fields(Request)}
    typed = {name: value for name, value in context.params.items() if name in names and value is not None}
    return Request(**{"recipe": "", **typed, **given})


def _argument(help: str, names: Names, **other: Any) -> Any:
    """An argument that a shell completes with one of the names."""
    return typer.Argument(help=help, autocompletion=_completed(names), **other)


def _option(*flags: str, help: str, names: Names, metavar: str | None = None) -> Any:
    """An option that a shell completes with one of the names."""
    return typer.Option(*flags, metavar=metavar, help=help, autocompletion=_completed(names))


CLOUDS = "local, docker, lambda, runpod or slurm; or runpod,lambda. Experimental: SkyPilot's other clouds, such as aws"

RecipeName = Annotated[str, _argument("<family>-<size>, e.g. gad-7b", _recipes, show_default=False)]
Rehearsed = Annotated[str | None, _argument("<family>-<size> (default: gad)", _families_and_recipes)]
Imaged = Annotated[
    str | None, _argument("<family>-<size>, or a family; all families with --all", _families_and_recipes)
]
RunName = Annotated[str | None, _argument("the run's name (default: the newest run)", _runs)]
Failed = Annotated[str | None, _argument("a failed run (default: the newest)", _runs)]
First = Annotated[str, _argument("name of the first run", _runs, show_default=False)]
Second = Annotated[str, _argument("name of the second run", _runs, show_default=False)]
Cloud = Annotated[str, _option(metavar="CLOUD", help=CLOUDS, names=_clouds)]
Named = Annotated[
    str | None, _option("--run", metavar="RUN", help="the run's name (default: the recipe's)", names=_runs)
]
RehearsalRun = Annotated[str | None, _option("--run", metavar="RUN", help="default: <family>-rehearsal", names=_runs)]
Resume = Annotated[str | None, _option(metavar="RUN", help="continue this run with its stored plan", names=_runs)]
Stages = Annotated[str, _option(metavar="LIST", help="the stage list to run", names=_stage_lists)]
Stage = Annotated[str | None, _option(help="which stage (default: the last)", names=_stages)]
Rounds = Annotated[int, typer.Option(min=1, metavar="K", help="repeat the training round K times (profile_dpo only)")]
Data = Annotated[
    list[str] | None, typer.Option(metavar="NAME=FILE", help="an input (.parquet or .jsonl); FILE alone is train")
]
Change = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a setting; STAGE.NAME=VALUE of one stage")
]
REDO = "run this stage and all later ones again; old results are renamed"
Redo = Annotated[str | None, _option(metavar="STAGE", help=REDO, names=_stages)]
Cost = Annotated[float | None, typer.Option(metavar="DOLLARS", help="the most the run may cost")]
Hours = Annotated[float | None, typer.Option(metavar="HOURS", help="the most hours the run may take")]
Dirty = Annotated[bool, typer.Option("--dirty", help="use uncommitted code: mount it over the code in the image")]
Gpus = Annotated[
    str | None,
    typer.Option(metavar="NAME:COUNT", help="use these GPUs, not the job file's, e.g. H100-SXM:8,H200-SXM:4"),
]
Push = Annotated[str | None, typer.Option(help="a registry to push to (default: site.yaml's, without a push)")]
FORCE = "turn this check's refusal into a warning, e.g. memory"
Force = Annotated[list[str] | None, _option(metavar="CHECK", help=FORCE, names=_checks)]
Wait = Annotated[float, typer.Option(metavar="HOURS", help="keep trying for HOURS if no machine is free")]
Keep = Annotated[bool, typer.Option("--keep", help="do not terminate the machine at the end (costs money)")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="rent without asking (a pipe is never asked)")]
Write = Annotated[Path | None, typer.Option(metavar="FOLDER", help="write the run folder to FOLDER")]
