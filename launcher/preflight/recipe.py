"""Can the stages begin: do the recipe's own commands accept the settings and the data, and can the stages load their
checkpoints? The commands run here, before anything is paid."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.config.recipe import InputSpec, Recipe
from launcher.errors import FAILED
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.runfolder.argv import PLACEHOLDER
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Input, Plan, settings_of
from launcher.runfolder.problem import closing_error


@dataclass(frozen=True)
class Answer:
    """How a command ended: its exit code, its output, and of one that failed its own sentence, or the last line of
    whatever went wrong, and what helps."""

    code: int
    out: str
    error: str = ""
    hint: str = ""

    @property
    def last(self) -> str:
        """Its last line, which is its evidence."""
        return (self.out.strip().splitlines() or ["checked"])[-1]


def placeholders(command: Sequence[str]) -> set[str]:
    """The names of its placeholders, as `input.train`."""
    return {name for argument in command for name in PLACEHOLDER.findall(argument)}


def ask(
    command: Sequence[str],
    values: Mapping[str, object],
    root: Path,
    python: Path | str = sys.executable,
    env: Mapping[str, str] | None = None,
) -> Answer:
    """Runs it in `root` with `python` for its first word, and each placeholder replaced."""
    argv = [PLACEHOLDER.sub(lambda match: str(values[match[1]]), argument) for argument in command]
    done = subprocess.run([str(python), *argv[1:]], cwd=root, env=env, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Answer(0, done.stdout)
    error, hint = closing_error(done.stderr) or ((done.stderr.strip() or "no message").splitlines()[-1], "")
    return Answer(done.returncode, done.stdout, error, hint)


def ask_about(command: Sequence[str], request: object, root: Path) -> Answer:
    """Runs it with a file that says the request, as JSON, for its `{request}`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        return ask(command, {"request": path}, root)


def inputs(specs: Mapping[str, InputSpec], inputs: Mapping[str, Input]) -> Finding:
    """Is every file there that the recipe needs?

    Refused when the user did not name one."""
    absent = [name for name in specs if name not in inputs]
    if absent:
        says = "; ".join(f"{name} is not given, {specs[name].rows:,} rows are assumed" for name in absent)
        return Finding("inputs", REFUSED, says, " ".join(f"--data {name}=FILE" for name in absent))
    return Finding(
        "inputs", OK, "; ".join(f"{name}: {file.rows:,} rows" for name, file in inputs.items()) or "none needed"
    )


def data(command: Sequence[str] | None, inputs: Mapping[str, Input], root: Path, python: Path) -> Finding | None:
    """Can the recipe train on the data? The recipe's own check runs here, before anything is paid.

    Refused with the message of that check. A recipe without a check has no such line. Runs `command` (placeholders
    `{input.NAME}`) with `python` in `root`; its last line is the evidence."""
    if not command:
        return None
    if not placeholders(command) <= {f"input.{name}" for name in inputs}:
        return Finding("data", UNKNOWN, "not looked at: an input is not given", "give every input")
    paths = {f"input.{name}": Path(file.path).resolve() for name, file in inputs.items()}
    answer = ask(command, paths, root, python)
    if answer.code:
        return Finding("data", REFUSED, answer.error, answer.hint or "correct the data")
    return Finding("data", OK, answer.last)


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
        paths = {f"input.{name}": Path(file.path).resolve() for name, file in inputs.items()}
        configs = {**dict.fromkeys(recipe.file.stages), **{stage.name: settings_of(stage) for stage in plan.stages}}
        for name, config in configs.items():
            path = paths[f"config.{name}"] = Path(folder) / f"{name}.json"
            path.write_text(json.dumps(config), encoding="utf-8")
        if absent := sorted(placeholders(command) - set(paths)):
            return Finding("texts", UNKNOWN, f"not looked at: no {absent[0]}", "give every input")
        answer = ask(command, paths, root, env={**os.environ, **secrets})
    if answer.code == 0:
        return Finding("texts", OK, answer.last)
    if answer.code == FAILED:
        return Finding("texts", UNKNOWN, f"not looked at: {answer.error}", answer.hint)
    return Finding("texts", REFUSED, answer.error, answer.hint or "correct the data")


def settings(plan: Plan, recipe: Recipe, root: Path) -> Finding | None:
    """Are the settings what the stages can work with? The recipe's own check, which needs no trainer installed.

    Refused with the message of that check, which sees the settings of all planned stages that name a kind, as the
    stages would get them. A recipe without a check has no such line."""
    kinds = [(stage, recipe.file.stages[stage.name].check) for stage in plan.stages]
    cloud = plan.machine.cloud
    request = [
        {"stage": stage.name, "kind": kind, "settings": settings_of(stage), "cloud": cloud}
        for stage, kind in kinds
        if kind
    ]
    if not request:
        return None
    if recipe.file.settings_check is None:
        says = f"`{recipe.folder / 'recipe.yaml'}`: stage `{request[0]['stage']}` has a `check`, and no command does it"
        return Finding("settings", REFUSED, says, "write `settings_check`")
    answer = ask_about(recipe.file.settings_check, request, root)
    if answer.code:
        return Finding("settings", REFUSED, answer.error, answer.hint or "correct the setting")
    return Finding("settings", OK, f"checked for {len(request)} stage{'' if len(request) == 1 else 's'}")


MARKER = "complete.json"
"""What a trainer writes last into a checkpoint; its `world_size` is the number of processes that shared it."""
DAMAGED = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What reading a marker may end with."""


def resume(plan: Plan, folder: RunFolder, elsewhere: str = "") -> Finding:
    """Can a run that goes on load its checkpoints with as many processes as it will get?

    Refused when a stage's newest checkpoint is shared by another number; unknown for checkpoints that are not here.
    Looks at every stage that is not done. `elsewhere`: where the checkpoints are kept, if not in `folder`."""
    shared = {stage.name: count for stage in plan.stages if (count := _shared_by(folder, stage.name))}
    is_left = any(not folder.stage(stage.name).done.exists() for stage in plan.stages)
    if not shared and elsewhere and folder.plan.exists() and is_left:
        says = f"not checked: the checkpoints of this run are {elsewhere}"
        return Finding("resume", UNKNOWN, says, "take as many GPUs as before")
    if not shared:
        return Finding("resume", OK, "no stage continues from a sharded checkpoint")
    gpus = [int(accelerator.partition(":")[2] or 1) for accelerator in plan.machine.accelerators]
    possible = {count * plan.machine.nodes for count in gpus}
    for name, count in shared.items():
        if possible and count not in possible:
            counts = " or ".join(map(str, sorted(possible)))
            return Finding(
                "resume",
                REFUSED,
                f"`{name}` has a checkpoint of {count} processes, and this machine has {counts}",
                f"take {count} GPUs (`--gpus NAME:COUNT`), or do the stage anew: `--redo {name}`",
            )
    told = ", ".join(f"{name}: {count} processes" for name, count in shared.items())
    if len(possible) > 1:
        return Finding("resume", WARNING, f"{told}; this launch may get {sorted(possible)}", "name one with `--gpus`")
    return Finding("resume", OK, told)


def _shared_by(folder: RunFolder, stage: str) -> int | None:
    own = folder.stage(stage)
    if own.done.exists():
        return None
    checkpoints = []
    for marker in own.work.glob(f"*/{MARKER}"):
        try:
            value = json.loads(marker.read_text(encoding="utf-8"))
            checkpoints.append((int(value["step"]), int(value["world_size"])))
        except DAMAGED:  # the trainer itself says what is wrong with it
            continue
    return max(checkpoints, default=(0, None))[1]
