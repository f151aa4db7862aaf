"""A plan as a shell script that one could paste into the recipe's container. Pure."""

import json
import re
import shlex

from launcher.runfolder.argv import PLACEHOLDER
from launcher.runfolder.plan import Plan, settings_of


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
            f"# source {name}: {json.dumps(source.ref)}",
            f'[ -d "$RUN/sources/{source.commit}" ] ||',
            f'    git clone --no-checkout -- {shlex.quote(source.git)} "$RUN/sources/{source.commit}"',
            f'git -C "$RUN/sources/{source.commit}" checkout --quiet --detach {source.commit}',
        ]
    for file in plan.inputs.values():
        lines += ["", 'mkdir -p "$RUN/inputs"', f'cp {shlex.quote(file.path)} "$RUN/inputs/{file.file}"']
    for stage in plan.stages:
        config = settings_of(stage)
        folder = f'"$RUN/stages/{stage.name}'
        paths = {"config": f"{folder}/config.json", "work": f"{folder}/work", "out": f"{folder}/out"}
        paths |= {name: f'"$RUN/stages/{need}/out' for name, need in stage.needs.items()}
        paths |= {f"input.{name}": f'"$RUN/inputs/{file.file}' for name, file in plan.inputs.items()}
        command = " ".join(_argument(argument, paths) for argument in stage.argv)
        if stage.source:
            source = plan.sources[stage.source]
            command = f'PYTHONPATH="$RUN/sources/{source.commit}/{_inside(source.folder)}" {command}'
        lines += [
            "",
            f"# {stage.name}",
            f'mkdir -p {folder}/work" {folder}/out"',
            f"printf '%s' {shlex.quote(json.dumps(config, sort_keys=True))} > {folder}/config.json\"",
            command,
        ]
    return "\n".join(lines) + "\n"


def _argument(argument: str, paths: dict[str, str]) -> str:
    """One argument, quoted for the shell, its placeholders as quoted paths below $RUN; an input that was not given is
    the file that will have to be there."""
    parts, end = [], 0
    for match in PLACEHOLDER.finditer(argument):
        before, end = argument[end : match.start()], match.end()
        parts += [shlex.quote(before)] if before else []
        parts.append(paths.get(match[1], f'"$RUN/inputs/{match[1].removeprefix("input.")}') + '"')
    tail = argument[end:]
    return "".join([*parts, shlex.quote(tail)] if tail or not parts else parts)


def _inside(text: str) -> str:
    """Text for between double quotes, where a backslash, a quote, a dollar and a backtick mean something."""
    return re.sub(r'([\\"$`])', r"\\\1", text)
