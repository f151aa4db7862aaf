"""Is the data what the recipe can train on? The recipe's own check, run here before anything is paid."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.config.recipe import InputSpec, Recipe
from launcher.errors import FAILED
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.preflight.recipe_command import ask, wanted
from launcher.runfolder.plan import Input, Plan, settings_of


def given(specs: Mapping[str, InputSpec], inputs: Mapping[str, Input]) -> Finding:
    """Refused when the user did not bring every file that the recipe needs."""
    absent = [name for name in specs if name not in inputs]
    if absent:
        says = "; ".join(f"{name} is not given, {specs[name].rows:,} rows are assumed" for name in absent)
        return Finding("inputs", REFUSED, says, " ".join(f"--data {name}=FILE" for name in absent))
    return Finding(
        "inputs", OK, "; ".join(f"{name}: {one.rows:,} rows" for name, one in inputs.items()) or "none needed"
    )


def check(command: Sequence[str] | None, inputs: Mapping[str, Input], root: Path, python: Path) -> Finding | None:
    """Refused in the words of that check; nothing is said of a recipe without one. Runs `command` (placeholders
    `{input.NAME}`) with `python` in `root`; its last line is the evidence."""
    if not command:
        return None
    if not wanted(command) <= {f"input.{name}" for name in inputs}:
        return Finding("data", WARNING, "not looked at: an input is not given", "give every input")
    places = {f"input.{name}": Path(one.path).resolve() for name, one in inputs.items()}
    found = ask(command, places, root, python)
    if found.code:
        return Finding("data", REFUSED, found.error, found.hint or "correct the data")
    return Finding("data", OK, found.last)


def texts(
    plan: Plan, recipe: Recipe, inputs: Mapping[str, Input], secrets: Mapping[str, str], root: Path
) -> Finding | None:
    """What do the rows become with the model's own tokenizer and chat template? The recipe's own look at a sample of
    them, which fetches the tokenizer as the job will: at its commit, with the job's token.

    Refused when the token may not read the model, its template refuses a row, or most rows are too long. Runs the
    recipe's `texts` command (`{config.STAGE}`, `null` for a stage that is not in the list; `{input.NAME}`) in `root`
    with the secrets in its environment; its last line is the evidence. A network without an answer stops nothing."""
    if not (command := recipe.file.texts):
        return None
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
