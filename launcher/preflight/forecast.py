"""What a run will do, take and cost: the recipe's own arithmetic on what earlier runs of its family measured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher.config.recipe import Recipe
from launcher.errors import LaunchError
from launcher.preflight.recipe_command import ask_about
from launcher.runfolder.done import read_done
from launcher.runfolder.plan import Plan, settings_of
from launcher.transfer.store import Store, plan_of

RUNS = 20
"""Earlier runs that are looked at, the newest first."""


def lines(plan: Plan, recipe: Recipe, store: Store, root: Path) -> list[str]:
    """What the recipe's `outlook` command prints; a sentence when it fails, nothing when there is none."""
    if recipe.file.outlook is None:
        return []
    request = {
        "stages": [{"name": stage.name, "settings": settings_of(stage)} for stage in plan.stages],
        "measured": list(measured(recipe.family, store)),
    }
    said = ask_about(recipe.file.outlook, request, root)
    return [f"no outlook: {said.error}"] if said.code else said.out.rstrip().splitlines()


def measured(family: str, store: Store) -> Iterator[dict[str, Any]]:
    """The finished stages of the family's runs, the newest run first: what they were told and what they measured."""
    looked = 0
    for run in reversed(store.runs()):
        folder = store.folder(run)
        try:
            plan = plan_of(folder)
        except LaunchError:  # a damaged plan is another command's matter
            continue
        if not plan.recipe.startswith(f"{family}-"):
            continue
        looked += 1
        for stage in reversed(plan.stages):
            done = read_done(folder.stage(stage.name).done)
            if done and done["metrics"]:
                where = " or ".join(plan.machine.accelerators) or "CPU"
                yield {
                    "run": run,
                    "recipe": plan.recipe,
                    "where": f"{plan.machine.cloud}, {where}",
                    "stage": stage.name,
                    "settings": settings_of(stage),
                    "metrics": done["metrics"],
                }
        if looked == RUNS:
            return
