"""The argument list of a stage's process."""

import re
import sys
from pathlib import Path

from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan, Stage

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_.]*)\}")


def arguments(plan: Plan, stage: Stage, folder: RunFolder) -> list[str]:
    """The stage's command with each placeholder replaced. A leading `python` becomes this interpreter."""
    paths = placeholders(plan, stage, folder)
    argv = [PLACEHOLDER.sub(lambda match: str(paths[match[1]]), argument) for argument in stage.argv]
    return [sys.executable, *argv[1:]] if argv[0] == "python" else argv


def placeholders(plan: Plan, stage: Stage, folder: RunFolder) -> dict[str, Path]:
    """The path of each placeholder (docs/concepts/stage-contract.md)."""
    own = folder.stage(stage.name)
    return {
        "config": own.config,
        "work": own.work,
        "out": own.out,
        **{name: folder.stage(need).out for name, need in stage.needs.items()},
        **{f"input.{name}": folder.inputs / data.file for name, data in plan.inputs.items()},
    }
