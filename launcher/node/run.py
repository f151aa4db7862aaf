"""A whole run: first the pins are compared, then the stages run in order, then the manifest is written."""

import importlib.metadata
from collections.abc import Collection
from pathlib import Path

from launcher.node.limits import not_begun
from launcher.node.stage import Site, execute, is_done
from launcher.runfolder.files import read_json, sha256, tree_hash
from launcher.runfolder.manifest import is_finished, publish
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Image, Plan, from_json
from launcher.runfolder.problem import INTERRUPTED, MISTAKE, Problem


def read_plan(folder: RunFolder) -> Plan:
    """The run's plan. Raises Problem if there is none."""
    try:
        return from_json(folder.plan.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"`{folder.path}` holds no plan.json", "start runs with `launcher launch`", MISTAKE) from None
    except (ValueError, TypeError) as problem:
        raise Problem(f"`{folder.plan}`: {problem}", "the file is damaged or of another version", MISTAKE) from None


def run(plan: Plan, site: Site, only: Collection[str] | None = None) -> None:
    """Executes every stage and writes the manifest. Raises Problem if something stops it. With `only`, it executes
    these stages, and writes the manifest if all others are done too."""
    if is_finished(plan, site.folder):
        return
    if reason := site.stop.reason():
        raise not_begun(reason, f"stage `{plan.stages[0].name}`")
    assert_pins(plan, site.code, site.folder)
    logged = site.folder.node_log.stat().st_size if site.folder.node_log.exists() else 0
    site.events.add("run.started", run=plan.run, logged=logged)
    left: list[str] = []
    for stage in plan.stages:
        if is_done(plan, stage, site.folder):
            site.events.add("stage.skipped", stage=stage.name)
            continue
        if only is not None and stage.name not in only:
            left.append(stage.name)
            continue
        if lacking := [need for need in stage.needs.values() if need in left]:
            error = f"stage `{stage.name}` needs `{lacking[0]}`, which is not done"
            raise Problem(error, "launch again: stages run in their order", MISTAKE)
        site.stop.moving()
        if reason := site.stop.reason():
            raise not_begun(reason, f"stage `{stage.name}`")
        try:
            execute(plan, stage, site)
        except Problem as problem:
            kind = "stage.interrupted" if problem.code == INTERRUPTED else "stage.failed"
            site.events.add(kind, stage=stage.name, **problem.facts)
            raise
    if left:
        return
    publish(plan, site.folder)
    site.events.add("run.finished", run=plan.run)


def assert_pins(plan: Plan, code: Path, folder: RunFolder) -> None:
    """Raises Problem unless the image, the recipes' code, the installed packages and the inputs are the plan's."""
    if plan.image:
        assert_image(plan.image, code)
    if (tree := tree_hash(code, plan.code.folders)) != plan.code.tree:
        raise Problem(
            f"the recipes' code under `{code}` is {tree[:12]}, the plan wants {plan.code.tree[:12]}",
            "check out the code the run was planned with, or start a new run",
            MISTAKE,
        )
    for name, version in plan.packages.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "not installed"
        if version not in (installed, installed.partition("+")[0]):
            raise Problem(
                f"package `{name}` is {installed} here, the plan pins {version}",
                "make the environment again from its lock (`make setup-cpu`, or the recipe's image)",
            )
    for data in plan.inputs.values():
        path = folder.inputs / data.file
        if not path.is_file() or path.stat().st_size != data.bytes or sha256(path) != data.sha256:
            raise Problem(
                f"input `{path}` is missing or is not the file that was planned ({data.path})",
                "launch again: inputs are sent again",
            )


def assert_image(image: Image, code: Path) -> None:
    """Raises Problem unless this program runs in the plan's image: `image.json` beside the image's code identifies
    it."""
    baked = read_json(code / "image.json")
    if not isinstance(baked, dict):
        raise Problem(
            f"`{code / 'image.json'}` cannot be read: this is not an image of a recipe",
            f"the plan wants `{image.name}`",
            MISTAKE,
        )
    for name in ("variant", "lock", "code"):
        if baked.get(f"launcher.{name}") != getattr(image, name):
            raise Problem(
                f"the image's {name} is `{str(baked.get(f'launcher.{name}'))[:12]}`, "
                f"the plan wants `{getattr(image, name)[:12]}`",
                f"build and push the image again: `{image.name}`",
                MISTAKE,
            )
