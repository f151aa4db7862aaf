"""Is the data what the recipe can train on? The recipe's own check, run here before anything is paid."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.node.command import PLACEHOLDER
from launcher.node.problem import said
from launcher.node.records import Input
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.recipe import InputSpec


def given(specs: Mapping[str, InputSpec], inputs: Mapping[str, Input]) -> Finding:
    """Whether the user brought every file the recipe needs."""
    absent = [name for name in specs if name not in inputs]
    if absent:
        says = "; ".join(f"{name} is not given, {specs[name].rows:,} rows are assumed" for name in absent)
        return Finding("inputs", REFUSED, says, " ".join(f"--data {name}=FILE" for name in absent))
    return Finding(
        "inputs", OK, "; ".join(f"{name}: {one.rows:,} rows" for name, one in inputs.items()) or "none needed"
    )


def check(command: Sequence[str] | None, inputs: Mapping[str, Input], root: Path, python: Path) -> Finding:
    """Runs `command` (placeholders `{input.NAME}`) with `python` in `root`; its last line is the evidence."""
    if not command:
        return Finding("data", OK, "the recipe has no check of its own")
    wanted = {name for word in command for name in PLACEHOLDER.findall(word)}
    if not wanted <= {f"input.{name}" for name in inputs}:
        return Finding("data", WARNING, "not looked at: an input is not given", "give every input")
    places = {f"input.{name}": str(Path(one.path).resolve()) for name, one in inputs.items()}
    words = [PLACEHOLDER.sub(lambda found: places[found[1]], word) for word in command]
    done = subprocess.run([str(python), *words[1:]], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        error, hint = said(done.stderr) or ((done.stderr.strip() or "no message").splitlines()[-1], "correct the data")
        return Finding("data", REFUSED, error, hint)
    return Finding("data", OK, (done.stdout.strip().splitlines() or ["checked"])[-1])
