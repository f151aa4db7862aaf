"""Does the trainer read what the user overrides? One that it ignores is worse than one it refuses."""

import json
from pathlib import Path

from launcher.errors import did_you_mean
from launcher.node.records import Plan
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.recipe import Recipe


def check(plan: Plan, recipe: Recipe, root: Path) -> Finding:
    """Looks at every stage's overrides by the tables that the recipe names for its pinned trainer."""
    tables = recipe.file.overrides
    if tables is None:
        return Finding("overrides", OK, "the recipe takes none")
    known = set(json.loads((root / tables.known).read_text(encoding="utf-8")))
    ignored = json.loads((root / tables.ignored).read_text(encoding="utf-8"))
    count = 0
    for stage in plan.stages:
        for text in stage.config.get(tables.setting) or []:
            key = text.partition("=")[0].lstrip("+~")
            count += 1
            if key in ignored:
                return Finding(
                    "overrides",
                    REFUSED,
                    f"stage `{stage.name}`: the trainer accepts `{key}` and ignores it",
                    f"use `{ignored[key]}`",
                )
            if key not in known:
                return Finding(
                    "overrides",
                    REFUSED,
                    f"stage `{stage.name}`: the trainer does not know `{key}`",
                    did_you_mean(key, known) if known else "remove it",
                )
    return Finding("overrides", OK, f"{count} given")
