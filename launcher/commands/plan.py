"""The plan, lock and image commands: what a launch would do, and the pins and the image it needs. What only one of them
needs is imported in its function: rich takes as long to import as all the rest, and `plan --json` needs none of it."""

import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from launcher.config.job import read_job
from launcher.config.recipe import REHEARSAL, Recipe, families, names, read_recipe
from launcher.config.site import SiteFile
from launcher.errors import LaunchError
from launcher.planning.code_version import code_of, find_root
from launcher.planning.request import Draft, Request, draft, variant_of
from launcher.runfolder.argv import PLACEHOLDER
from launcher.runfolder.plan import Plan, settings_of


def plan(request: Request, site: SiteFile, as_json: bool, shell: bool, write: Path | None) -> str | None:
    """Returns the plan as JSON or as a shell script, or else prints it, or writes the run folder `write`."""
    result, root = planned_of(request, site)
    if write:
        _write(result, write)
        return None
    if shell:
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
        job = root / "jobs" / f"{recipe.name}.yaml"
        kind = variant or (variant_of(read_job(job)) if recipe.name == name else "cuda")
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
    from launcher.preflight import cost, runner
    from launcher.transfer.store import Store

    with ThreadPoolExecutor(2) as pool:
        findings = pool.submit(runner.quick, result, root, site)
        forecast = pool.submit(cost.outlook, result.plan, result.recipe, Store(site), root)
        from launcher.ui import console  # its import takes as long as the programs that the two checks start meanwhile

        console.show_plan(result.plan, findings.result(), forecast.result())


def _recipes(name: str | None, root: Path) -> list[Recipe]:
    if name is not None and name not in families(root):
        return [read_recipe(name, root)]
    chosen = [name] if name is not None else families(root)
    if not chosen:
        raise LaunchError(f"there is no recipe under `{root / 'recipes'}`", "run this in the project's folder")
    return [read_recipe(_smallest(family, root), root) for family in chosen]


def _smallest(family: str, root: Path) -> str:
    """The family's rehearsal, or its first recipe if it has none."""
    rehearsal, recipes = f"{family}-{REHEARSAL}", names(root)
    return rehearsal if rehearsal in recipes else next(name for name in recipes if name.startswith(f"{family}-"))


def script(plan: Plan) -> str:
    """The plan's stages as commands, in order; `$RUN` is the run folder."""
    lines = [
        "#!/bin/sh",
        f"# {plan.recipe}, as planned; run it in the folder that holds recipes/, the recipe's Python first on PATH.",
        "set -eu",
        f'RUN="${{RUN:-$PWD/runs/{plan.run}}}"',
    ]
    for name, source in sorted(plan.sources.items()):
        lines += [
            "",
            f"# source {name}: {json.dumps(source.ref)}",
            f'[ -d "$RUN/sources/{source.commit}" ] ||',
            f'    git clone --no-checkout -- {shlex.quote(source.git)} "$RUN/sources/{source.commit}"',
            f'git -C "$RUN/sources/{source.commit}" checkout --quiet --detach {source.commit}',
        ]
    for file in plan.inputs.values():
        lines += ["", 'mkdir -p "$RUN/inputs"', f'cp {shlex.quote(file.path)} "$RUN/inputs/{file.file}"']
    for stage in plan.stages:
        config = settings_of(stage)
        folder = f'"$RUN/stages/{stage.name}'
        paths = {"config": f"{folder}/config.json", "work": f"{folder}/work", "out": f"{folder}/out"}
        paths |= {name: f'"$RUN/stages/{need}/out' for name, need in stage.needs.items()}
        paths |= {f"input.{name}": f'"$RUN/inputs/{file.file}' for name, file in plan.inputs.items()}
        command = " ".join(_argument(argument, paths) for argument in stage.argv)
        if stage.source:
            source = plan.sources[stage.source]
            command = f'PYTHONPATH="$RUN/sources/{source.commit}/{_inside(source.folder)}" {command}'
        lines += [
            "",
            f"# {stage.name}",
            f'mkdir -p {folder}/work" {folder}/out"',
            f"printf '%s' {shlex.quote(json.dumps(config, sort_keys=True))} > {folder}/config.json\"",
            command,
        ]
    return "\n".join(lines) + "\n"


def _argument(argument: str, paths: dict[str, str]) -> str:
    """One argument, quoted for the shell, its placeholders as quoted paths below $RUN; an input that was not given is
    the file that will have to be there."""
    parts, end = [], 0
    for match in PLACEHOLDER.finditer(argument):
        before, end = argument[end : match.start()], match.end()
        parts += [shlex.quote(before)] if before else []
        parts.append(paths.get(match[1], f'"$RUN/inputs/{match[1].removeprefix("input.")}') + '"')
    tail = argument[end:]
    return "".join([*parts, shlex.quote(tail)] if tail or not parts else parts)


def _inside(text: str) -> str:
    """Text for between double quotes, where a backslash, a quote, a dollar and a backtick mean something."""
    return re.sub(r'([\\"$`])', r"\\\1", text)
