"""`python -m launcher.node RUN_FOLDER [--code FOLDER] [--stages A,B]`: executes the plan in RUN_FOLDER. Exit codes: 0
done, 2 a mistake of the user, 3 a stage failed, 33 interrupted (run it again), 1 a defect of the launcher."""

import argparse
import contextlib
import errno
import importlib.metadata
import os
import signal
import sys
from collections.abc import Collection
from pathlib import Path

from launcher.node.limits import Stop, problem_before, read_limits
from launcher.node.restore import restore
from launcher.node.stage import Site, execute, is_done
from launcher.node.upload import Upload, UploadProcess
from launcher.runfolder.events import Events
from launcher.runfolder.files import read_json, sha256, tree_hash
from launcher.runfolder.lock import Lock, Locked, holder
from launcher.runfolder.manifest import is_finished, publish
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Image, Plan, from_json
from launcher.runfolder.problem import DONE, FAILED, INTERRUPTED, MISTAKE, Problem
from launcher.runfolder.processes import adopt_orphans, signal_quietly
from launcher.runfolder.secrets import load_secrets

SHORTEST, LONGEST = 60.0, 1800.0
"""Limits, in seconds, for the upload of a run's last results; between them the rest of the budget decides."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m launcher.node", description=__doc__)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--code", type=Path, default=Path.cwd(), help="the folder that holds recipes/ (default: here)")
    parser.add_argument(
        "--stages",
        type=lambda text: tuple(text.split(",")),
        help="only these of the plan's stages, with commas between",
    )
    parser.add_argument("--stop", action="store_true", help="ask the program that works on RUN_FOLDER to stop")
    options = parser.parse_args()
    folder = RunFolder(options.run_folder.resolve())
    if options.stop:
        if process := holder(folder.lock):
            signal_quietly(process, signal.SIGTERM)
        return DONE
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: asked.append(number))
    adopt_orphans()
    try:
        plan = read_plan(folder)
        load_secrets(plan.run)
        with Lock(folder.lock) as lock:
            stop = Stop(read_limits(folder.limits), asked)
            site = Site(folder, options.code.resolve(), Events(folder.events), lock.handle, stop)
            _work(plan, site, options.stages)
    except Locked:
        _say(2, f"error: another node program works on `{folder.path}`\n\nhint: `launcher status` shows it")
        return MISTAKE
    except Problem as problem:
        _say(2, str(problem))
        return problem.code
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = "make room and launch again: stages that are done are not repeated"
        _say(2, f"error: no space left for `{problem.filename or folder.path}`\n\nhint: {hint}")
        return FAILED
    done = f"{', '.join(options.stages)} done" if options.stages else f"done, {folder.manifest}"
    _say(1, f"{plan.run}: {done}")
    return DONE


def _work(plan: Plan, site: Site, stages: tuple[str, ...] | None) -> None:
    """Executes the run. If it fails, an event says why. In both cases the upload has had its time."""
    uploads = None
    try:
        for name in stages or ():
            if name not in {stage.name for stage in plan.stages}:
                raise Problem(f"the plan has no stage `{name}`", "`--stages` names stages of plan.json", MISTAKE)
        if plan.bucket and not site.stop.reason():
            restore(plan, site)
            uploads = UploadProcess(Upload(plan, site.folder), site.events)
        run(plan, site, stages)
    except Problem as problem:
        site.events.add("run.ended", **problem.facts)
        raise
    finally:
        if uploads:
            uploads.finish(max(SHORTEST, min(LONGEST, site.stop.seconds_left())))


def _say(handle: int, text: str) -> None:
    with contextlib.suppress(OSError):  # on a full disk there is no room for a message; the exit code still counts
        os.write(handle, f"{text}\n".encode(errors="surrogateescape"))


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
        raise problem_before(reason, f"stage `{plan.stages[0].name}`")
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
        site.stop.note_progress()
        if reason := site.stop.reason():
            raise problem_before(reason, f"stage `{stage.name}`")
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


if __name__ == "__main__":
    sys.exit(main())
