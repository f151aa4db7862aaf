"""A run that exists, and a plan that may not be its plan any more: what changed, and how to do a part again."""

import os
from collections.abc import Iterable
from typing import Any

from launcher.errors import check_known
from launcher.runfolder import retention
from launcher.runfolder.done import identity
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan


def changes(old: Plan, new: Plan) -> dict[str, list[str]]:
    """Stage -> what differs, in words; only stages whose result would no longer be this plan's, in the new order."""
    before = {stage.name: stage for stage in old.stages}
    differences = {}
    for stage in new.stages:
        if stage.name not in before:
            differences[stage.name] = ["it is new"]
            continue
        was, now = identity(old, before[stage.name]), identity(new, stage)
        # what changed in the needed stages is said there; here, which ones they are
        was["needs"], now["needs"] = before[stage.name].needs, stage.needs
        says = [sentence for part in was for sentence in _differences(part, was[part], now[part])]
        if says:
            differences[stage.name] = says
    return differences


def followers(plan: Plan, first: str) -> list[str]:
    """`first` and every later stage that needs its result, directly or not. Raises LaunchError when there is none."""
    check_known(first, (stage.name for stage in plan.stages), f"the run has no stage `{first}`")
    return retention.followers(plan, first)


def set_aside(folder: RunFolder, stages: Iterable[str]) -> list[str]:
    """The results of `stages` and the run's manifest are no longer in the way; they are renamed, never deleted. The
    new names are returned."""
    count = 1
    while (folder.path / f"manifest.{count}.json").exists() or list(folder.path.glob(f"stages/*.{count}")):
        count += 1
    moved = []
    for name in stages:
        own = folder.stage(name).path
        if own.exists():
            os.replace(own, aside := own.with_name(f"{name}.{count}"))
            moved.append(str(aside))
    if folder.manifest.exists():
        os.replace(folder.manifest, folder.path / f"manifest.{count}.json")
    return moved


def _differences(part: str, before: Any, after: Any) -> list[str]:
    if before == after:
        return []
    if part == "code":
        return ["the recipes' code changed"]
    if part == "environment":
        return [f"its locked packages were `{str(before)[:12]}`, are now `{str(after)[:12]}`"]
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [f"its {part} was `{_short(before)}`, is now `{_short(after)}`"]
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    label = {"config": "", "packages": "package ", "inputs": "input ", "source": "source ", "needs": "its "}[part]
    return [f"{label}`{name}` was `{_short(before.get(name))}`, is now `{_short(after.get(name))}`" for name in names]


def _short(value: Any) -> str:
    text = " ".join(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
