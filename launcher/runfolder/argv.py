"""From a planned stage to a process: its argument list."""

import re
import sys
from pathlib import Path

from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan, Stage

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_.]*)\}")


def arguments(plan: Plan, stage: Stage, folder: RunFolder) -> list[str]:
    """The command with every placeholder replaced; a leading `python` becomes this interpreter."""
    places = placeholders(plan, stage, folder)
    words = [PLACEHOLDER.sub(lambda found: str(places[found[1]]), word) for word in stage.argv]
    return [sys.executable, *words[1:]] if words[0] == "python" else words


def placeholders(plan: Plan, stage: Stage, folder: RunFolder) -> dict[str, Path]:
    """What each placeholder of docs/concepts/stage-contract.md stands for."""
    own = folder.stage(stage.name)
    return {
        "config": own.config,
        "work": own.work,
        "out": own.out,
        **{name: folder.stage(need).out for name, need in stage.needs.items()},
        **{f"input.{name}": folder.inputs / one.file for name, one in plan.inputs.items()},
    }
