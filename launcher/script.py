"""A plan as a shell script that one could paste into the recipe's container. Pure."""

import json
import shlex

from launcher.node.command import PLACEHOLDER
from launcher.node.records import Plan


def script(plan: Plan) -> str:
    """The plan's stages as commands, in order; `$RUN` is the run folder."""
    lines = [
        "#!/bin/sh",
        f"# {plan.recipe}, as planned; run it in the folder that holds recipes/, the recipe's Python first on PATH.",
        "set -eu",
        f'RUN="${{RUN:-$PWD/runs/{plan.run}}}"',
    ]
    for name, source in sorted(plan.sources.items()):
        lines += [
            "",
            f"# source {name}: {source.ref}",
            f'git clone --no-checkout {shlex.quote(source.git)} "$RUN/sources/{source.commit}"',
            f'git -C "$RUN/sources/{source.commit}" checkout --detach {source.commit}',
        ]
    for one in plan.inputs.values():
        lines += ["", 'mkdir -p "$RUN/inputs"', f'cp {shlex.quote(one.path)} "$RUN/inputs/{one.file}"']
    for stage in plan.stages:
        config = {**stage.config, **({"steps": stage.steps} if stage.steps is not None else {})}
        folder = f'"$RUN/stages/{stage.name}'
        places = {"config": f"{folder}/config.json", "work": f"{folder}/work", "out": f"{folder}/out"}
        places |= {name: f'"$RUN/stages/{need}/out' for name, need in stage.needs.items()}
        places |= {f"input.{name}": f'"$RUN/inputs/{one.file}' for name, one in plan.inputs.items()}
        words = " ".join(_word(word, places) for word in stage.argv)
        if stage.source:
            source = plan.sources[stage.source]
            words = f'PYTHONPATH="$RUN/sources/{source.commit}/{source.folder}" {words}'
        lines += [
            "",
            f"# {stage.name}",
            f'mkdir -p {folder}/work" {folder}/out"',
            f"printf '%s' {shlex.quote(json.dumps(config, sort_keys=True))} > {folder}/config.json\"",
            words,
        ]
    return "\n".join(lines) + "\n"


def _word(word: str, places: dict[str, str]) -> str:
    """One argument, quoted for the shell, its placeholder as a quoted path below $RUN."""
    found = PLACEHOLDER.search(word)
    if not found:
        return shlex.quote(word)
    before, after = word[: found.start()], word[found.end() :]
    tail = after.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return (shlex.quote(before) if before else "") + places[found[1]] + tail + '"'
