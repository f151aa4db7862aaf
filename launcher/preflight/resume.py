"""Can a run that goes on load its checkpoints with as many processes as it will get?"""

import json
from collections.abc import Iterable

from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan

MARKER = "complete.json"
"""What a trainer writes last into a checkpoint; its `world_size` is the number of processes that shared it."""
DAMAGED = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What reading a marker may end with."""


def check(plan: Plan, folder: RunFolder) -> Finding:
    """Refused when a stage's newest checkpoint is shared by another number. Looks at every stage that is not done."""
    shared = {stage.name: found for stage in plan.stages if (found := _shared_by(folder, stage.name))}
    if not shared:
        return Finding("resume", OK, "nothing to carry on from, or nothing that is sharded")
    planned = set(_worlds(plan))
    for name, count in shared.items():
        if planned and count not in planned:
            given = " or ".join(map(str, sorted(planned)))
            return Finding(
                "resume",
                REFUSED,
                f"`{name}` has a checkpoint of {count} processes, and this machine has {given}",
                f"take {count} GPUs (`--gpus NAME:COUNT`), or do the stage anew: `--redo {name}`",
            )
    told = ", ".join(f"{name}: {count} processes" for name, count in shared.items())
    if len(planned) > 1:
        return Finding("resume", WARNING, f"{told}; this launch may get {sorted(planned)}", "name one with `--gpus`")
    return Finding("resume", OK, told)


def _worlds(plan: Plan) -> Iterable[int]:
    for one in plan.machine.accelerators:
        yield int(one.partition(":")[2] or 1) * plan.machine.nodes


def _shared_by(folder: RunFolder, stage: str) -> int | None:
    own = folder.stage(stage)
    if own.done.exists():
        return None
    found = []
    for marker in own.work.glob(f"*/{MARKER}"):
        try:
            value = json.loads(marker.read_text(encoding="utf-8"))
            found.append((int(value["step"]), int(value["world_size"])))
        except DAMAGED:  # the trainer itself says what is wrong with it
            continue
    return max(found, default=(0, None))[1]
