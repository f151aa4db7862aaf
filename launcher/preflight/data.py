"""Is the data what the recipe can train on? The recipe's own check, run here before anything is paid."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.config.recipe import InputSpec
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.preflight.recipe_command import ask, wanted
from launcher.runfolder.plan import Input


def given(specs: Mapping[str, InputSpec], inputs: Mapping[str, Input]) -> Finding:
    """Refused when the user did not bring every file that the recipe needs."""
    absent = [name for name in specs if name not in inputs]
    if absent:
        says = "; ".join(f"{name} is not given, {specs[name].rows:,} rows are assumed" for name in absent)
        return Finding("inputs", REFUSED, says, " ".join(f"--data {name}=FILE" for name in absent))
    return Finding(
        "inputs", OK, "; ".join(f"{name}: {one.rows:,} rows" for name, one in inputs.items()) or "none needed"
    )


def check(command: Sequence[str] | None, inputs: Mapping[str, Input], root: Path, python: Path) -> Finding:
    """Refused in the words of that check. Runs `command` (placeholders `{input.NAME}`) with `python` in `root`; its
    last line is the evidence."""
    if not command:
        return Finding("data", OK, "the recipe has no check of its own")
    if not wanted(command) <= {f"input.{name}" for name in inputs}:
        return Finding("data", WARNING, "not looked at: an input is not given", "give every input")
    places = {f"input.{name}": Path(one.path).resolve() for name, one in inputs.items()}
    found = ask(command, places, root, python)
    if found.code:
        return Finding("data", REFUSED, found.error, found.hint or "correct the data")
    return Finding("data", OK, found.last)
