"""Are the settings what the stages can work with? The recipe's own check, which needs no trainer installed."""

from pathlib import Path

from launcher.config.recipe import Recipe
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.preflight.recipe_command import ask_about
from launcher.runfolder.plan import Plan, settings_of


def check(plan: Plan, recipe: Recipe, root: Path) -> Finding | None:
    """Refused in the words of that check, which sees the settings of all planned stages that name a kind, as the
    stages would get them. Nothing is said of a recipe without a check."""
    kinds = [(stage, recipe.file.stages[stage.name].check) for stage in plan.stages]
    request = [{"stage": one.name, "kind": kind, "settings": settings_of(one)} for one, kind in kinds if kind]
    if not request:
        return None
    if recipe.file.settings_check is None:
        says = f"`{recipe.folder / 'recipe.yaml'}`: stage `{request[0]['stage']}` has a `check`, and no command does it"
        return Finding("settings", REFUSED, says, "write `settings_check`")
    found = ask_about(recipe.file.settings_check, request, root)
    if found.code:
        return Finding("settings", REFUSED, found.error, found.hint or "correct the setting")
    return Finding("settings", OK, f"checked for {len(request)} stage{'' if len(request) == 1 else 's'}")
