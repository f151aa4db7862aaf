"""What can go wrong, where and when: all cells of the fault matrix, and why the others are none. Pure."""

import random
from dataclasses import dataclass

PHASES = ("sync", "stage 1", "checkpoint write", "hand-over", "stage 2", "convert", "export", "pull")
COLUMNS = ("local", "docker", "slurm", "runpod", "lambda")
CLOUDS = ("runpod", "lambda")
NODE = PHASES[1:-1]
"""The phases in which the node program works."""
TRAINER = ("stage 1", "checkpoint write", "stage 2", "convert")
"""Those in which a stage's command runs."""
ROWS = {
    "SIGTERM": "the node program is asked to stop, in the way of the machine's own scheduler",
    "SIGKILL of the trainer": "the stage's command",
    "SIGKILL of the node program": "the stage's command has to die with it",
    "SIGKILL of everything": "node program, guard, trainer and, on this machine, the launcher, at once",
    "disk full": "every byte of the laptop's file system with the run folder is taken, until the launch has failed",
    "torn checkpoint": "everything is killed, and the newest checkpoint is half there",
    "flipped byte": "one byte of a file that was complete is another",
    "clock jump": "the clock is a day ahead or behind from one moment to the next",
    "lost event file": "events.jsonl is removed while it is written",
    "double launch": "the same command is typed a second time",
    "laptop killed": "SIGKILL of the launcher and of all it has started here; the run lives on",
    "ssh cut": "the connection ends after some bytes of a copy",
    "machine vanishing": "the node or the machine is gone, with all that was on it alone",
    "preemption": "a job that is more important takes the nodes",
    "wall-time limit": "the job's time is over",
    "store unreachable": "the bucket refuses all calls, and answers again later",
}


@dataclass(frozen=True)
class Cell:
    """One thing that goes wrong, at one kind of machine, in one phase of a launch."""

    row: str
    column: str
    phase: str

    @property
    def name(self) -> str:
        return f"{self.row}, {self.phase}".replace(" ", "-").replace(",", "")

    def draws(self, seed: int) -> random.Random:
        """What the cell leaves open (which step, which byte) is drawn from this."""
        return random.Random(f"{seed} {self}")


def cells(column: str) -> list[Cell]:
    """All that make sense in a column, row by row."""
    every = [Cell(row, column, phase) for row in ROWS for phase in PHASES]
    return [cell for cell in every if why_not(cell) is None]


def why_not(cell: Cell) -> str | None:
    """Why a cell is none, in a sentence; None for one that is."""
    row, column, phase = cell.row, cell.column, cell.phase
    if said := WHERE.get((row, column)) or WHERE.get((row, column, phase)):
        return said
    if phase in PHASES_OF.get(row, NODE):
        return None
    return REASONS.get((row, phase)) or REASONS.get((row, None)) or IDLE[phase]


PHASES_OF = {
    "SIGKILL of the trainer": TRAINER,
    "disk full": PHASES,
    "torn checkpoint": ("stage 1", "checkpoint write", "stage 2"),
    "flipped byte": ("sync", "checkpoint write", "export", "pull"),
    "lost event file": (*NODE, "pull"),
    "double launch": PHASES,
    "laptop killed": PHASES,
    "ssh cut": ("sync", "pull"),
    "store unreachable": ("sync", *NODE),
}
"""A row's phases, where they are not those of the node program."""
IDLE = {
    "sync": "no node program runs yet",
    "pull": "no node program runs any more",
    "hand-over": "no stage's command runs then",
    "export": "no stage's command runs then",
}
REASONS = {
    ("torn checkpoint", None): "there is no checkpoint, or it is not read again",
    ("flipped byte", "hand-over"): "a stage's result is compared by its sizes: to hash it at each start takes minutes",
    ("flipped byte", None): "what is written then is damaged in the phases `checkpoint write` and `export`",
    ("lost event file", "sync"): "there is none yet",
    ("ssh cut", None): "the laptop only looks then; that it is gone is a row of its own",
    ("store unreachable", "pull"): "the result comes home without the bucket",
}
HERE = "this machine is the laptop"
LISTED = "what a machine keeps on its disk is lost with it: `machine vanishing`"
RENTED = "tests/integration/clouds/test_faults.py has it"
WHERE: dict[tuple[str, ...], str] = {
    **{("ssh cut", backend): "nothing goes over ssh" for backend in ("local", "docker")},
    **{("machine vanishing", backend): HERE for backend in ("local", "docker")},
    **{(row, backend): "no scheduler" for row in ("preemption", "wall-time limit") for backend in ("local", "docker")},
    **{("preemption", cloud): "a provider that takes a machine back lets it vanish" for cloud in CLOUDS},
    **{("wall-time limit", cloud): f"the budget is its limit: {RENTED}" for cloud in CLOUDS},
    ("store unreachable", "docker"): "the tests' bucket answers on the loopback, where a container does not reach it",
    **{("store unreachable", cloud): "the tests' bucket answers on the loopback of this machine" for cloud in CLOUDS},
    ("disk full", "slurm"): "the tests' nodes see no file system that was mounted after they started",
    **{("torn checkpoint", cloud): LISTED for cloud in CLOUDS},
    **{("flipped byte", cloud, "checkpoint write"): LISTED for cloud in CLOUDS},
    **{("flipped byte", cloud, "export"): "what compares the copy is the same as in slurm" for cloud in CLOUDS},
    **{("clock jump", cloud): "the node program's own clock: the same code as in docker" for cloud in CLOUDS},
}
"""Rows, and cells, that make no sense or cannot be made at a kind of machine."""
