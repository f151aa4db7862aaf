"""The environment of a stage's process: where its imports come from, and nothing that an outer program has set. Each
git pin has a checkout of its own, so two stages can run two branches."""

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
"""Where this program itself is imported from: stages must not import it."""
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


def environment(plan: Plan, stage: Stage, folder: RunFolder, code: Path, base: Mapping[str, str]) -> dict[str, str]:
    """`base` with a PYTHONPATH: first the stage's pinned source, then the recipes' code."""
    inherited = [path for path in base.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", OWN)]
    path = [str(code), *inherited]
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
    """Whether SkyPilot's Ray, which may have started this program, has set the variable. A stage's own Ray of another
    version would read it; one OpenMP thread is too few; and programs disagree on what an empty list of devices
    means."""
    unseen = "_VISIBLE_" in name and value == ""
    return unseen or name.startswith("RAY_") or name in ("OMP_NUM_THREADS", "PYTHONBREAKPOINT")


class CheckoutError(Exception):
    """The pinned commit cannot be fetched, or its checkout has been changed."""


def checkout(source: Source, folder: Path) -> Path:
    """The folder below `folder` with an unchanged checkout of `source` at its commit. It is made if it is missing."""
    target = folder / source.commit
    if not target.exists():
        part = folder / f".{source.commit}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _git(part, "init", "--quiet")
        with open(part / ".git/info/exclude", "a", encoding="utf-8") as file:
            file.write("__pycache__/\n")  # files that an import writes are no change
        try:
            _git(part, "fetch", "--quiet", "--depth", "1", "--", source.git, source.commit)
        except CheckoutError:  # this server gives branches only
            _git(part, "fetch", "--quiet", "--", source.git, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        _git(part, "checkout", "--quiet", "--detach", source.commit)
        part.rename(target)
    commit = _git(target, "rev-parse", "HEAD").strip()
    changed = _git(target, "status", "--porcelain").strip()
    if commit != source.commit or changed:
        state = f"is at {commit[:12]}" if commit != source.commit else f"was changed: {changed.splitlines()[0].strip()}"
        raise CheckoutError(f"the checkout of `{source.git}` at {source.commit[:12]} {state}")
    return target


def import_path(source: Source, checkout: Path, guard: Path) -> list[str]:
    """The beginning of PYTHONPATH: `guard`, which refuses any other copy of the package, then the checkout."""
    root = checkout / source.folder
    guard.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("pinned_imports.py"), guard / "sitecustomize.py")
    entry = {"package": source.package, "root": str(root), "commit": source.commit}
    (guard / "pinned.json").write_text(json.dumps(entry), encoding="utf-8")
    return [str(guard), str(root)]


def _git(folder: Path, *arguments: str) -> str:
    # inside a git hook these variables name the repository of the commit
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CheckoutError("`git` is not installed here") from None
    if done.returncode:
        raise CheckoutError(f"`git {arguments[0]}` failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return done.stdout
