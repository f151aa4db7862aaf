"""The environment that a stage's process gets: where its imports come from, and nothing of an outer program's. Each git
pin has a checkout of its own: two stages run two branches, and nobody switches a branch by hand."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan, Source, Stage
from launcher.runfolder.problem import Problem

OWN = str(Path(__file__).resolve().parent.parent.parent)
"""Where this program itself is imported from: no stage's business."""
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


def environment(plan: Plan, stage: Stage, folder: RunFolder, code: Path, base: Mapping[str, str]) -> dict[str, str]:
    """`base` plus a PYTHONPATH on which the stage's pinned source comes first and the recipes' code next."""
    given = [place for place in base.get("PYTHONPATH", "").split(os.pathsep) if place not in ("", OWN)]
    path = [str(code), *given]
    if "RAY_JOB_ID" in base:
        base = {name: value for name, value in base.items() if not _outer(name, value)}
    if stage.source:
        source = plan.sources[stage.source]
        try:
            path = import_path(source, checkout(source, folder.sources), folder.sources / f"guard-{stage.name}") + path
        except CheckoutError as problem:
            raise Problem(f"stage `{stage.name}`: {problem}", f"check `{source.git}` and `{source.ref}`") from None
    return {**base, "PYTHONPATH": os.pathsep.join(path)}


def _outer(name: str, value: str) -> bool:
    """Whether a Ray that this program is a job of (SkyPilot's) set it: a stage's own Ray, of another version, would
    read it; one thread for OpenMP is too few; and to see no devices is not what `""` means to all who read it."""
    unseen = "_VISIBLE_" in name and value == ""
    return unseen or name.startswith("RAY_") or name in ("OMP_NUM_THREADS", "PYTHONBREAKPOINT")


class CheckoutError(Exception):
    """The pinned commit cannot be had, or its checkout is not what was pinned."""


def checkout(source: Source, folder: Path) -> Path:
    """The folder below `folder` that holds `source` at its commit, unchanged; made when it is missing."""
    place = folder / source.commit
    if not place.exists():
        part = folder / f".{source.commit}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _git(part, "init", "--quiet")
        with open(part / ".git/info/exclude", "a", encoding="utf-8") as file:
            file.write("__pycache__/\n")  # what importing leaves behind is no change
        try:
            _git(part, "fetch", "--quiet", "--depth", "1", "--", source.git, source.commit)
        except CheckoutError:  # a server that hands out branches only
            _git(part, "fetch", "--quiet", "--", source.git, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        _git(part, "checkout", "--quiet", "--detach", source.commit)
        part.rename(place)
    found = _git(place, "rev-parse", "HEAD").strip()
    changed = _git(place, "status", "--porcelain").strip()
    if found != source.commit or changed:
        state = f"is at {found[:12]}" if found != source.commit else f"was changed: {changed.splitlines()[0].strip()}"
        raise CheckoutError(f"the checkout of `{source.git}` at {source.commit[:12]} {state}")
    return place


def import_path(source: Source, place: Path, guard: Path) -> list[str]:
    """What goes in front of PYTHONPATH: `guard` makes a wrong copy of the package an ImportError, then the checkout."""
    root = place / source.folder
    guard.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("pinned_imports.py"), guard / "sitecustomize.py")
    entry = {"package": source.package, "root": str(root), "commit": source.commit}
    (guard / "pinned.json").write_text(json.dumps(entry), encoding="utf-8")
    return [str(guard), str(root)]


def _git(folder: Path, *words: str) -> str:
    # inside a git hook these name the repository that is being committed to
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    try:
        done = subprocess.run(["git", *words], cwd=folder, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CheckoutError("`git` is not installed here") from None
    if done.returncode:
        raise CheckoutError(f"`git {words[0]}` failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return done.stdout
