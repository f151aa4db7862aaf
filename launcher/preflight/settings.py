"""Are the settings what the stages can work with? The recipe's own check, which needs no trainer installed."""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from launcher.node.records import Plan, Stage, settings_of
from launcher.preflight.asked import Answer, ask
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.recipe import Recipe


def check(plan: Plan, recipe: Recipe, root: Path) -> Finding:
    """Refused in the words of that check. Runs the check of every planned stage that has one, all at once, on the
    settings the stage would get."""
    checked = [stage for stage in plan.stages if recipe.file.stages[stage.name].check]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as threads:

        def asked(stage: Stage) -> Answer:
            config = Path(folder) / f"{stage.name}.json"
            config.write_text(json.dumps(settings_of(stage)), encoding="utf-8")
            found = ask(recipe.file.stages[stage.name].check or [], {"config": config}, root)
            return replace(found, error=found.error.replace(f"`{config}`: ", ""))

        for stage, found in zip(checked, threads.map(asked, checked), strict=True):
            if found.code:
                hint = found.hint or "correct the setting"
                return Finding("settings", REFUSED, f"stage `{stage.name}`: {found.error}", hint)
    return Finding("settings", OK, f"of {len(checked)} stages" if checked else "the recipe has no check of its own")
