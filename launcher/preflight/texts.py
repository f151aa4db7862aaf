"""What do the rows become with the model's own tokenizer and chat template? The recipe's own look at a sample of them,
which fetches the tokenizer as the job will: at its commit, with the job's token."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from launcher.config.recipe import Recipe
from launcher.errors import FAILED
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.preflight.recipe_command import ask, wanted
from launcher.runfolder.plan import Input, Plan, settings_of


def check(plan: Plan, recipe: Recipe, inputs: Mapping[str, Input], secrets: Mapping[str, str], root: Path) -> Finding:
    """Refused when the token may not read the model, its template refuses a row, or most rows are too long. Runs the
    recipe's `texts` command (`{config.STAGE}`, `null` for a stage that is not in the list; `{input.NAME}`) in `root`
    with the secrets in its environment; its last line is the evidence. A network without an answer stops nothing."""
    if not (command := recipe.file.texts):
        return Finding("texts", OK, "the recipe has no look at them")
    with tempfile.TemporaryDirectory() as folder:
        places = {f"input.{name}": Path(one.path).resolve() for name, one in inputs.items()}
        given = {**dict.fromkeys(recipe.file.stages), **{stage.name: settings_of(stage) for stage in plan.stages}}
        for name, settings in given.items():
            place = places[f"config.{name}"] = Path(folder) / f"{name}.json"
            place.write_text(json.dumps(settings), encoding="utf-8")
        if absent := sorted(wanted(command) - set(places)):
            return Finding("texts", WARNING, f"not looked at: no {absent[0]}", "give every input")
        found = ask(command, places, root, env={**os.environ, **secrets})
    if found.code == 0:
        return Finding("texts", OK, found.last)
    if found.code == FAILED:
        return Finding("texts", WARNING, f"not looked at: {found.error}", found.hint)
    return Finding("texts", REFUSED, found.error, found.hint or "correct the data")
