"""Are the settings what the stages can work with? The recipe's own check, which needs no trainer installed."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from launcher.node.records import Plan, settings_of
from launcher.preflight.asked import answer
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.recipe import Recipe


def check(plan: Plan, recipe: Recipe, root: Path) -> Finding:
    """Runs the check of every planned stage that has one, all at once, on the settings the stage would get."""
    checked = [stage for stage in plan.stages if recipe.file.stages[stage.name].check]
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for stage in checked:
            config = Path(folder) / f"{stage.name}.json"
            config.write_text(json.dumps(settings_of(stage)), encoding="utf-8")
            words = [word.replace("{config}", str(config)) for word in recipe.file.stages[stage.name].check or []]
            argv = [sys.executable, *words[1:]]
            processes.append(
                subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
        said = [(process.communicate(), process.returncode) for process in processes]
    for stage, ((out, errors), code) in zip(checked, said, strict=True):
        found = answer(code, out, errors)
        if found.code:
            says = found.error.replace(f"`{Path(folder) / f'{stage.name}.json'}`: ", "")
            hint = found.hint or "correct the setting"
            return Finding("settings", REFUSED, f"stage `{stage.name}`: {says}", hint)
    return Finding("settings", OK, f"of {len(checked)} stages" if checked else "the recipe has no check of its own")
