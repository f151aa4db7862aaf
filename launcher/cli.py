"""The commands and their help. A command imports what it needs when it runs, so that `launcher --help` is instant."""

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from launcher import options as option

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def _print_version(requested: bool) -> None:
    if requested:
        from launcher import __version__

        typer.echo(f"launcher {__version__}")
        raise typer.Exit


@app.callback()
def every(version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False) -> None:
    """Take a post-training recipe to rented GPUs and bring a verified checkpoint back."""


@app.command()
def plan(
    context: typer.Context,
    recipe: option.RecipeName = "",
    cloud: option.Cloud = "local",
    run: option.Named = None,
    stages: option.Stages = "default",
    rounds: option.Rounds = 1,
    data: option.Data = None,
    changes: option.Change = None,
    max_cost: option.Cost = None,
    max_hours: option.Hours = None,
    gpus: option.Gpus = None,
    force: option.Force = None,
    dirty: option.Dirty = False,
    json: Annotated[bool, typer.Option("--json", help="print the plan as JSON")] = False,
    shell: Annotated[bool, typer.Option("--shell", help="print the plan as a shell script")] = False,
    write: option.Write = None,
) -> None:
    """Show what a launch would do, and check it. Or write the plan to a file, for plain `sky` or `sbatch`."""
    from launcher.commands import plan as command

    if text := command.plan(option.request(context), option.site(), json, shell, write):
        typer.echo(text, nl=False)


@app.command()
def launch(
    context: typer.Context,
    recipe: option.RecipeName = "",
    cloud: option.Cloud = "local",
    run: option.Named = None,
    stages: option.Stages = "default",
    rounds: option.Rounds = 1,
    data: option.Data = None,
    changes: option.Change = None,
    redo: option.Redo = None,
    max_cost: option.Cost = None,
    max_hours: option.Hours = None,
    gpus: option.Gpus = None,
    force: option.Force = None,
    dirty: option.Dirty = False,
    resume: option.Resume = None,
    wait: option.Wait = 0.0,
    keep: option.Keep = False,
    yes: option.Yes = False,
) -> None:
    """Run a recipe, or continue a run, on any cloud. The verified result is copied to runs/<run>/export."""
    from launcher.commands import launch as command

    options = command.LaunchOptions(redo, wait, keep, not yes and sys.stdin.isatty(), sys.argv[1:])
    raise typer.Exit(command.launch(option.request(context), option.site(), options, resume))


@app.command()
def rehearse(
    context: typer.Context,
    recipe: option.Rehearsed = None,
    run: option.RehearsalRun = None,
    stages: option.Stages = "default",
    rounds: option.Rounds = 1,
    data: option.Data = None,
    changes: option.Change = None,
    redo: option.Redo = None,
    docker: Annotated[bool, typer.Option("--docker", help="in the recipe's image, on the local Docker engine")] = False,
    dirty: option.Dirty = False,
) -> None:
    """Run a whole recipe with a tiny model on this CPU. All its stages, in the same code."""
    from launcher.commands import launch as command

    request = option.request(context, cloud="docker" if docker else "local")
    raise typer.Exit(command.rehearse(request, option.site(), command.LaunchOptions(redo, command_line=sys.argv[1:])))


@app.command()
def status(run: option.RunName = None, json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show the state of a run."""
    from launcher.commands import status as command

    command.show_status(option.store().existing(run), option.site(), json)


@app.command()
def watch(run: option.RunName = None) -> None:
    """Follow a run until it ends. Ctrl-C stops watching, not the run."""
    from launcher.commands import status as command

    raise typer.Exit(command.watch(option.store().existing(run), option.site()))


@app.command()
def logs(
    run: option.RunName = None,
    stage: option.Stage = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="keep printing as the log grows")] = False,
) -> None:
    """Print a stage's output."""
    from launcher.commands import status as command

    command.print_log(option.store().existing(run), option.site(), stage, follow)


@app.command()
def runs() -> None:
    """List the runs here, and every machine of yours that costs money."""
    from launcher.commands import status as command

    command.list_all(option.store())


@app.command()
def down(
    run: option.RunName = None, every: Annotated[bool, typer.Option("--all", help="every machine of yours")] = False
) -> None:
    """Terminate a run's machine, or cancel its jobs, or all. Results that were not pulled are lost."""
    from launcher.commands import machines as command

    command.end(run, every, option.store())


@app.command()
def stop(run: option.RunName = None) -> None:
    """Ask a run to write a checkpoint and stop. The same launch command continues it."""
    from launcher.commands import machines as command

    command.ask_to_stop(option.store().existing(run), option.site())


@app.command()
def pull(run: option.RunName = None) -> None:
    """Copy a finished run's export to this computer. An interrupted pull continues."""
    from launcher.commands import pull as command

    folder = option.store().existing(run)
    command.pull_run(folder, option.store().results(folder.path.name), option.site())


@app.command()
def verify(run: option.RunName = None) -> None:
    """Compare every byte of the pulled export with the manifest."""
    from launcher.commands import pull as command

    command.verify(option.store().results(option.store().existing(run).path.name))


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="the folder of one checkpoint, of any trainer")],
    out: Annotated[Path, typer.Argument(help="the model: a folder that is empty or not there yet")],
    dtype: Annotated[str | None, typer.Option(help="bfloat16, float16, float32 or keep")] = None,
    max_shard_gb: Annotated[float | None, typer.Option(help="size of a file, in 10^9 bytes")] = None,
    config: Annotated[Path | None, typer.Option(help="config.json and tokenizer, if the checkpoint has none")] = None,
    merge: Annotated[str | None, typer.Option(help="merge a LoRA adapter into this model, or into its `own`")] = None,
) -> None:
    """Make a Hugging Face model of a checkpoint. Of verl, torch DCP, DeepSpeed, Hugging Face's trainer or peft."""
    from launcher.commands import pull as command

    options = {"dtype": dtype, "max-shard-gb": max_shard_gb, "config": config, "merge": merge}
    raise typer.Exit(command.convert(checkpoint, out, options, option.site()))


@app.command()
def report(
    run: option.RunName = None,
    out: Annotated[Path | None, typer.Option(help="where to write it (default: runs/<run>/report.html)")] = None,
) -> None:
    """Write a run as one HTML page. Timeline, metrics, provenance, cost."""
    from launcher.commands import report as command

    command.report(run, option.store(), out)


@app.command()
def compare(
    first: option.First,
    second: option.Second,
) -> None:
    """Compare two runs. Their settings, metrics, time and cost."""
    from launcher.commands import report as command

    command.compare_runs(first, second, option.store())


@app.command()
def doctor(
    run: option.Failed = None,
    cloud: Annotated[str | None, typer.Option(help="slurm: look at a cluster, and propose its entry")] = None,
    host: Annotated[str | None, typer.Option(help="the login node's name for ssh (default: site.yaml's)")] = None,
    extend: Annotated[int | None, typer.Option(help="make or extend site.yaml's workspace, for N days")] = None,
) -> None:
    """Explain why a run failed. Check this installation, or propose a Slurm cluster's entry for site.yaml."""
    from launcher.commands import doctor as command

    if cloud is None and host is None and extend is None:
        raise typer.Exit(command.examine(run, option.store()))
    command.examine_cluster(cloud or "slurm", host, extend, option.site())


@app.command()
def lock(recipe: option.RecipeName) -> None:
    """Lock the recipe's git refs and model revisions to commits."""
    from launcher.commands import plan as command

    command.lock(recipe)


@app.command()
def image(
    recipe: option.Imaged = None,
    every: Annotated[bool, typer.Option("--all", help="the images of every family")] = False,
    variant: Annotated[str | None, typer.Option(help="cpu or cuda (default: what the recipe's job file needs)")] = None,
    base: Annotated[str | None, typer.Option(help="base image instead of Debian's, if no registry is reached")] = None,
    push: option.Push = None,
) -> None:
    """Build a recipe's image, unless the engine has it. Locked packages, and the code as it is here."""
    from launcher.commands import plan as command

    command.build_images(recipe if not every else None, variant, base, push, option.site())


def main() -> None:
    """The program `launcher`. A mistake of the user is one sentence with a hint, never a traceback."""
    from launcher.errors import LaunchError, sentence

    gc.set_threshold(50_000, 20, 50)  # imported objects stay; collecting took a third of SkyPilot's import
    try:
        app()
    except (LaunchError, OSError) as problem:
        error = sentence(problem)
        from launcher.ui import console

        console.show_error(str(error))
        sys.exit(error.code)
    finally:
        gc.freeze()  # at the end there is nothing to collect either
