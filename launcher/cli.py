"""The commands. Nothing heavy is imported before a command needs it: `launcher --help` has to be instant."""

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from launcher.config.site import SiteFile
    from launcher.transfer.store import Store

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

RecipeName = Annotated[str, typer.Argument(help="<family>-<size>, e.g. gad-7b", show_default=False)]
RunName = Annotated[str | None, typer.Argument(help="the run's name (default: the newest run)")]
CLOUDS = "local, docker, lambda, runpod or slurm; or runpod,lambda. Experimental: SkyPilot's other clouds, such as aws"
Cloud = Annotated[str, typer.Option(metavar="CLOUD", help=CLOUDS)]
Named = Annotated[str | None, typer.Option("--run", metavar="RUN", help="the run's name (default: the recipe's)")]
Rehearsal = Annotated[str | None, typer.Option("--run", metavar="RUN", help="default: <family>-rehearsal")]
Stages = Annotated[str, typer.Option(metavar="LIST", help="the stage list to run")]
Rounds = Annotated[int, typer.Option(min=1, metavar="K", help="repeat the training round K times (profile_dpo only)")]
Data = Annotated[
    list[str] | None, typer.Option(metavar="NAME=FILE", help="an input (.parquet or .jsonl); FILE alone is train")
]
Change = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a setting; STAGE.NAME=VALUE of one stage")
]
Redo = Annotated[
    str | None, typer.Option(metavar="STAGE", help="run this stage and all later ones again; old results are renamed")
]
Cost = Annotated[float | None, typer.Option(metavar="DOLLARS", help="the most the run may cost")]
Dirty = Annotated[bool, typer.Option("--dirty", help="use uncommitted code: mount it over the code in the image")]
Hours = Annotated[float | None, typer.Option(metavar="HOURS", help="the most hours the run may take")]
Gpus = Annotated[
    str | None,
    typer.Option(metavar="NAME:COUNT", help="use these GPUs, not the job file's, e.g. H100-SXM:8,H200-SXM:4"),
]
Push = Annotated[str | None, typer.Option(help="a registry to push to (default: site.yaml's, without a push)")]
Force = Annotated[
    list[str] | None, typer.Option(metavar="CHECK", help="turn this check's refusal into a warning, e.g. memory")
]


def _version(asked: bool) -> None:
    if asked:
        from launcher import __version__

        typer.echo(f"launcher {__version__}")
        raise typer.Exit


@app.callback()
def every(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False) -> None:
    """Take a post-training recipe to rented GPUs and bring a verified checkpoint back."""


@app.command()
def plan(
    recipe: RecipeName = "",
    cloud: Cloud = "local",
    run: Named = None,
    stages: Stages = "default",
    rounds: Rounds = 1,
    data: Data = None,
    change: Change = None,
    max_cost: Cost = None,
    max_hours: Hours = None,
    gpus: Gpus = None,
    force: Force = None,
    dirty: Dirty = False,
    json: Annotated[bool, typer.Option("--json", help="print the plan as JSON")] = False,
    shell: Annotated[bool, typer.Option("--shell", help="print the plan as a shell script")] = False,
    write: Annotated[Path | None, typer.Option(metavar="FOLDER", help="write the run folder to FOLDER")] = None,
) -> None:
    """Show what a launch would do, and check it. Or write the plan to a file, for plain `sky` or `sbatch`."""
    from launcher.commands import plan as command
    from launcher.planning.request import Request

    request = Request(
        recipe, cloud, run, stages, rounds, data or (), change or (), max_cost, max_hours, dirty, gpus, force or ()
    )
    if text := command.plan(request, _site(), json, shell, write):
        typer.echo(text, nl=False)


@app.command()
def launch(
    recipe: RecipeName = "",
    cloud: Cloud = "local",
    run: Named = None,
    stages: Stages = "default",
    rounds: Rounds = 1,
    data: Data = None,
    change: Change = None,
    redo: Redo = None,
    max_cost: Cost = None,
    max_hours: Hours = None,
    gpus: Gpus = None,
    force: Force = None,
    dirty: Dirty = False,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="continue this run with its stored plan")] = None,
    wait: Annotated[float, typer.Option(metavar="HOURS", help="keep trying for HOURS if no machine is free")] = 0.0,
    keep: Annotated[bool, typer.Option("--keep", help="do not terminate the machine at the end (costs money)")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="rent without asking (a pipe is never asked)")] = False,
) -> None:
    """Run a recipe, or continue a run, on any cloud. The verified result is copied to runs/<run>/export."""
    from launcher.commands import launch as command
    from launcher.planning.request import Request

    request = Request(
        recipe, cloud, run, stages, rounds, data or (), change or (), max_cost, max_hours, dirty, gpus, force or ()
    )
    manner = command.LaunchOptions(redo, wait, keep, not yes and sys.stdin.isatty(), sys.argv[1:])
    raise typer.Exit(command.launch(request, _site(), manner, resume))


@app.command()
def rehearse(
    recipe: Annotated[str | None, typer.Argument(help="<family>-<size> (default: gad)")] = None,
    run: Rehearsal = None,
    stages: Stages = "default",
    rounds: Rounds = 1,
    data: Data = None,
    change: Change = None,
    redo: Redo = None,
    docker: Annotated[bool, typer.Option("--docker", help="in the recipe's image, on the local Docker engine")] = False,
    dirty: Dirty = False,
) -> None:
    """Run a whole recipe with a tiny model on this CPU. All its stages, in the same code."""
    from launcher.commands import launch as command
    from launcher.planning.request import Request

    cloud = "docker" if docker else "local"
    request = Request(recipe or "", cloud, run, stages, rounds, data or (), change or (), dirty=dirty)
    raise typer.Exit(command.rehearse(request, _site(), command.LaunchOptions(redo, words=sys.argv[1:])))


@app.command()
def status(run: RunName = None, json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show the state of a run."""
    from launcher.commands import status as command

    command.show_status(_store().existing(run), _site(), json)


@app.command()
def watch(run: RunName = None) -> None:
    """Follow a run until it ends. Ctrl-C stops watching, not the run."""
    from launcher.commands import status as command

    raise typer.Exit(command.watch(_store().existing(run), _site()))


@app.command()
def logs(
    run: RunName = None,
    stage: Annotated[str | None, typer.Option(help="which stage (default: the last)")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="keep printing as the log grows")] = False,
) -> None:
    """Print a stage's output."""
    from launcher.commands import logs as command

    command.print_log(_store().existing(run), _site(), stage, follow)


@app.command()
def runs() -> None:
    """List the runs here, and every machine of yours that costs money."""
    from launcher.commands import runs as command

    command.list_all(_store())


@app.command()
def down(
    run: RunName = None, every: Annotated[bool, typer.Option("--all", help="every machine of yours")] = False
) -> None:
    """Terminate a run's machine, or cancel its jobs, or all. Results that were not pulled are lost."""
    from launcher.commands import machines as command

    command.end(run, every, _store())


@app.command()
def stop(run: RunName = None) -> None:
    """Ask a run to write a checkpoint and stop. The same launch command continues it."""
    from launcher.commands import machines as command

    command.ask_to_stop(_store().existing(run), _site())


@app.command()
def pull(run: RunName = None) -> None:
    """Copy a finished run's export to this computer. An interrupted pull continues."""
    from launcher.commands import pull as command

    folder = _store().existing(run)
    command.pull_run(folder, _store().home(folder.path.name), _site())


@app.command()
def verify(run: RunName = None) -> None:
    """Compare every byte of the pulled export with the manifest."""
    from launcher.commands import pull as command

    command.verify(_store().home(_store().existing(run).path.name))


@app.command()
def report(
    run: RunName = None,
    out: Annotated[Path | None, typer.Option(help="where to write it (default: runs/<run>/report.html)")] = None,
) -> None:
    """Write a run as one HTML page. Timeline, metrics, provenance, cost."""
    from launcher.commands import report as command

    command.report(run, _store(), out)


@app.command()
def compare(
    one: Annotated[str, typer.Argument(help="name of the first run", show_default=False)],
    other: Annotated[str, typer.Argument(help="name of the second run", show_default=False)],
) -> None:
    """Compare two runs. Their settings, metrics, time and cost."""
    from launcher.commands import report as command

    command.compare_runs(one, other, _store())


@app.command()
def doctor(
    run: Annotated[str | None, typer.Argument(help="a failed run (default: the newest)")] = None,
    cloud: Annotated[str | None, typer.Option(help="slurm: look at a cluster, and propose its entry")] = None,
    host: Annotated[str | None, typer.Option(help="the login node's name for ssh (default: site.yaml's)")] = None,
    extend: Annotated[int | None, typer.Option(help="make or extend site.yaml's workspace, for N days")] = None,
) -> None:
    """Explain why a run failed. Check this installation, or propose a Slurm cluster's entry for site.yaml."""
    from launcher.commands import doctor as command

    if cloud is None and host is None and extend is None:
        raise typer.Exit(command.examine(run, _store()))
    command.examine_cluster(cloud or "slurm", host, extend, _site())


@app.command()
def lock(recipe: RecipeName) -> None:
    """Lock the recipe's git refs and model revisions to commits."""
    from launcher.commands import lock as command

    command.lock(recipe)


@app.command()
def image(
    recipe: Annotated[str | None, typer.Argument(help="<family>-<size>, or a family; all families with --all")] = None,
    every: Annotated[bool, typer.Option("--all", help="the images of every family")] = False,
    variant: Annotated[str | None, typer.Option(help="cpu or cuda (default: what the recipe's job file needs)")] = None,
    base: Annotated[str | None, typer.Option(help="base image instead of Debian's, if no registry is reached")] = None,
    push: Push = None,
) -> None:
    """Build a recipe's image, unless the engine has it. Locked packages, and the code as it is here."""
    from launcher.commands import image as command

    command.images(recipe if not every else None, variant, base, push, _site())


def _site() -> "SiteFile":
    from launcher.config.site import read_site, site_path

    return read_site(site_path())


def _store() -> "Store":
    from launcher.transfer.store import Store

    return Store(_site())


def main() -> None:
    """The console script: a user's mistake is a sentence, never a traceback."""
    from launcher.errors import LaunchError, sentence

    gc.set_threshold(50_000, 20, 50)  # what is imported stays; to look through it was a third of SkyPilot's import
    try:
        app()
    except (LaunchError, OSError) as problem:
        said = sentence(problem)
        from launcher.ui import console

        console.error(str(said))
        sys.exit(said.code)
    finally:
        gc.freeze()  # nor is there anything to look for at the end


if __name__ == "__main__":
    main()
