"""Is the data what the recipe can train on? The recipe's own check, run here before anything is paid."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.node.command import PLACEHOLDER
from launcher.node.problem import said
from launcher.node.records import Input
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding


def check(command: Sequence[str] | None, inputs: Mapping[str, Input], root: Path, python: Path) -> Finding:
    """Runs `command` (placeholders `{input.NAME}`) with `python` in `root`; its last line is the evidence."""
    if not command:
        return Finding("data", OK, "the recipe has no check of its own")
    wanted = {name for word in command for name in PLACEHOLDER.findall(word)}
    absent = sorted(name.removeprefix("input.") for name in wanted if name.removeprefix("input.") not in inputs)
    if absent:
        return Finding("data", WARNING, f"not given: {', '.join(absent)}", f"`--data {absent[0]}=FILE`")
    places = {f"input.{name}": str(Path(one.path).resolve()) for name, one in inputs.items()}
    words = [PLACEHOLDER.sub(lambda found: places[found[1]], word) for word in command]
    done = subprocess.run([str(python), *words[1:]], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        error, hint = said(done.stderr) or ((done.stderr.strip() or "no message").splitlines()[-1], "correct the data")
        return Finding("data", REFUSED, error, hint)
    return Finding("data", OK, (done.stdout.strip().splitlines() or ["checked"])[-1])
