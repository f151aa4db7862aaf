"""The arguments and options of the commands: their names, their help, and what a shell completes. A name that cannot be
read is not completed; a shell shows no error while you type."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
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
    return _store().runs()


def _stages(context: typer.Context) -> list[str]:
    """The stages of the run that the command line names; of the newest run if it names none."""
    from launcher.transfer.store import plan_of

    run = context.params.get("resume") or context.params.get("run") or _first(context).replace("_", "-")
    return [stage.name for stage in plan_of(_store().existing(run or None)).stages]


def _first(context: typer.Context) -> str:
    """The recipe or the run that the command line names first. Behind an option without a value it is not read yet."""
    return context.params.get("recipe") or next(iter(context.args), "")


def _clouds(context: typer.Context) -> list[str]:
    from launcher.clouds.providers import cloud_names

    return list(cloud_names())


def _checks(context: typer.Context) -> Iterable[str]:
    from launcher.preflight.runner import CHECKS

    return dict.fromkeys(check.name for check in CHECKS)


def _store() -> "Store":
    from launcher.config.site import read_site, site_path
    from launcher.transfer.store import Store

    return Store(read_site(site_path()))


CLOUDS = "local, docker, lambda, runpod or slurm; or runpod,lambda. Experimental: SkyPilot's other clouds, such as aws"

RecipeName = Annotated[
    str,
    typer.Argument(help="<family>-<size>, e.g. gad-7b", show_default=False, autocompletion=_completed(_recipes)),
]
Rehearsed = Annotated[
    str | None,
    typer.Argument(help="<family>-<size> (default: gad)", autocompletion=_completed(_families_and_recipes)),
]
Imaged = Annotated[
    str | None,
    typer.Argument(
        help="<family>-<size>, or a family; all families with --all", autocompletion=_completed(_families_and_recipes)
    ),
]
RunName = Annotated[
    str | None, typer.Argument(help="the run's name (default: the newest run)", autocompletion=_completed(_runs))
]
Failed = Annotated[
    str | None, typer.Argument(help="a failed run (default: the newest)", autocompletion=_completed(_runs))
]
First = Annotated[
    str, typer.Argument(help="name of the first run", show_default=False, autocompletion=_completed(_runs))
]
Second = Annotated[
    str, typer.Argument(help="name of the second run", show_default=False, autocompletion=_completed(_runs))
]
Cloud = Annotated[str, typer.Option(metavar="CLOUD", help=CLOUDS, autocompletion=_completed(_clouds))]
Named = Annotated[
    str | None,
    typer.Option(
        "--run", metavar="RUN", help="the run's name (default: the recipe's)", autocompletion=_completed(_runs)
    ),
]
RehearsalRun = Annotated[
    str | None,
    typer.Option("--run", metavar="RUN", help="default: <family>-rehearsal", autocompletion=_completed(_runs)),
]
Resume = Annotated[
    str | None,
    typer.Option(metavar="RUN", help="continue this run with its stored plan", autocompletion=_completed(_runs)),
]
Stages = Annotated[
    str, typer.Option(metavar="LIST", help="the stage list to run", autocompletion=_completed(_stage_lists))
]
Stage = Annotated[str | None, typer.Option(help="which stage (default: the last)", autocompletion=_completed(_stages))]
Rounds = Annotated[int, typer.Option(min=1, metavar="K", help="repeat the training round K times (profile_dpo only)")]
Data = Annotated[
    list[str] | None, typer.Option(metavar="NAME=FILE", help="an input (.parquet or .jsonl); FILE alone is train")
]
Change = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a setting; STAGE.NAME=VALUE of one stage")
]
Redo = Annotated[
    str | None,
    typer.Option(
        metavar="STAGE",
        help="run this stage and all later ones again; old results are renamed",
        autocompletion=_completed(_stages),
    ),
]
Cost = Annotated[float | None, typer.Option(metavar="DOLLARS", help="the most the run may cost")]
Hours = Annotated[float | None, typer.Option(metavar="HOURS", help="the most hours the run may take")]
Dirty = Annotated[bool, typer.Option("--dirty", help="use uncommitted code: mount it over the code in the image")]
Gpus = Annotated[
    str | None,
    typer.Option(metavar="NAME:COUNT", help="use these GPUs, not the job file's, e.g. H100-SXM:8,H200-SXM:4"),
]
Push = Annotated[str | None, typer.Option(help="a registry to push to (default: site.yaml's, without a push)")]
Force = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CHECK",
        help="turn this check's refusal into a warning, e.g. memory",
        autocompletion=_completed(_checks),
    ),
]
Wait = Annotated[float, typer.Option(metavar="HOURS", help="keep trying for HOURS if no machine is free")]
Keep = Annotated[bool, typer.Option("--keep", help="do not terminate the machine at the end (costs money)")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="rent without asking (a pipe is never asked)")]
Write = Annotated[Path | None, typer.Option(metavar="FOLDER", help="write the run folder to FOLDER")]
