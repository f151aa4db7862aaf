"""The point of a phase at which the fault falls: a file that one of the run's programs is about to write. Pure."""

import random
from dataclasses import dataclass

from tests.faults.cells import CLOUDS, Cell

LINES = {"sum": 12, "again": 24}
"""Of a stage's progress: one for each step, and one for each checkpoint, which is every second step."""
LATE = 4
"""The first line of a stage's progress after that of a checkpoint."""
HOME = tuple(rf"^open .*/runs/toy-tiny/export/\.{name}\.txt\.part" for name in ("part-0", "part-2", "total"))
INPUTS = r"^open .*/inputs/\.train\.jsonl\.part"
SYNC = {
    "slurm": (INPUTS, r"^open .*/slurm/submit\.sh", r"^os.rename .*/slurm\.json", r"^open .*/slurm/seen\.part"),
    **dict.fromkeys(CLOUDS, (INPUTS, r"^os.rename .*/limits\.json")),
}
"""Where the launcher is held, at kinds of machines that are far away: before, while and after something is sent."""
INCOMING = r"^os.rename .*/\.incoming/manifest\.json"
"""All of an export has come from far away."""
PULL = {"slurm": (r"^os.mkdir .*/\.incoming$", INCOMING, *HOME), **dict.fromkeys(CLOUDS, (INCOMING, *HOME))}
BEFORE_PULL = {"slurm": PULL["slurm"][0]}
"""Nothing of an export has been copied yet."""
PARTS = {
    "hand-over": (
        r"^open .*/stages/sum/\.done\.json\.part",
        r"^os.rename .*/stages/sum/done\.json",
        r"^open .*/stages/again/attempts",
    ),
    "convert": tuple(rf"^open .*/stages/convert/out/{name}\.txt" for name in ("part-0", "part-2", "total")),
    "export": (
        r"^os.link .*/\.export\.part/part-1\.txt",
        r"^os.rename .*/export$",
        r"^open .*/\.manifest\.json\.part",
        r"^os.rename .*/manifest\.json",
    ),
}
CHECKPOINT = (r"^open .*/stages/{}/work/step_\d+/saved\.part", r"^os.rename .*/stages/{}/work/step_\d+/saved\.json")
ARRIVED = r"^open .*/node\.lock"
"""The node program's first file: all that it needs has been sent."""


@dataclass(frozen=True)
class Moment:
    """`at` is what tests/faults/hold looks for; the `nth` time, counted in each process, is meant."""

    at: str
    nth: int = 1
    laptop: bool = False
    """Whether the launcher waits there, and not the node program or a stage."""


def moment(cell: Cell, draws: random.Random) -> Moment:
    """Where in its phase the cell's fault falls; which of several points, and at which step, is drawn."""
    damaged = cell.row in ("torn checkpoint", "flipped byte")  # there has to be a checkpoint
    if cell.row == "flipped byte" and cell.phase == "sync":
        return Moment(ARRIVED)
    if cell.row == "flipped byte" and cell.phase == "export":
        return Moment(BEFORE_PULL.get(cell.column, HOME[0]), laptop=True)
    if cell.phase == "sync":
        return Moment(draws.choice(SYNC.get(cell.column, (INPUTS,))), laptop=True)
    if cell.phase == "pull":
        return Moment(draws.choice(PULL.get(cell.column, HOME)), laptop=True)
    if cell.phase == "checkpoint write" and not damaged:
        stage = draws.choice(sorted(LINES))
        return Moment(draws.choice(CHECKPOINT).format(stage), draws.randint(1, LINES[stage] // 3))
    if cell.phase in PARTS:
        return Moment(draws.choice(PARTS[cell.phase]))
    stage = {"stage 1": "sum", "stage 2": "again"}.get(cell.phase) or draws.choice(sorted(LINES))
    line = draws.randint(LATE if damaged else 1, LINES[stage])
    return Moment(rf"^open .*/stages/{stage}/work/progress\.jsonl", line)
