"""Which of the long tests a run takes: some by chance, all when they are asked for (`make faults`), or of the fault
matrix those that are left to do (`make faults CELLS=left`)."""

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.faults.page import PASSED, read

Thing = TypeVar("Thing")
SEED = int(os.environ.get("FAULT_SEED") or time.time())
"""Which ones: the same seed, the same tests. A run prints it, in a test's name or at its end."""
TAKEN = {
    "integration/clouds/test_faults.py": 1,
    "integration/clouds/test_launch.py": 1,
    "integration/clouds/test_matrix.py": 1,
    "faults/test_docker.py": 2,
    "faults/test_local.py": 8,
    "faults/test_slurm.py": 3,
    "launcher/backends/slurm/test_allocation.py": 2,
    "launcher/backends/slurm/test_sbatch.py": 12,
    "integration/rehearsal/test_slurm.py": 1,
    "integration/vllm_cpu/test_rehearsals.py": 1,
}
"""How many of a file's tests: each takes minutes, or many of them do."""
TRAININGS = 1
"""How many families' files of real trainings; each family's rehearsal trains too."""


def some(things: Sequence[Thing], count: int) -> list[Thing]:
    """As many of them as are wanted, in their order."""
    if os.environ.get("FAULTS") == "all" or len(things) <= count:
        return list(things)
    chosen = sorted(random.Random(SEED).sample(range(len(things)), count))
    return [things[number] for number in chosen]


def taken(items: list[Any]) -> tuple[list[Any], str]:
    """The tests that are run of those collected, and which were left out, in a sentence; empty when none was."""
    said, kept = [], list(items)
    if os.environ.get("FAULTS") == "left":
        kept = left(items, Path(os.environ["RELIABILITY"]).read_text(encoding="utf-8"))
        return kept, f"{len(items) - len(kept)} cells have passed"
    for name, count in TAKEN.items():
        long = [item for item in kept if item.path.as_posix().endswith(f"tests/{name}")]
        chosen = some(long, count)
        if len(chosen) < len(long):
            kept = [item for item in kept if item not in long or item in chosen]
            said.append(f"{len(chosen)} of {len(long)} of {name}")
    trainings = sorted(
        {item.path for item in kept if item.path.name == "test_training.py" and item.path.parents[1].name == "recipes"}
    )
    families = some(trainings, TRAININGS)
    if len(families) < len(trainings):
        kept = [item for item in kept if item.path not in trainings or item.path in families]
        said.append(f"trainings of {' and '.join(path.parent.name for path in families)}")
    return kept, f"by chance (FAULT_SEED={SEED}; FAULTS=all takes all): {', '.join(said)}" if said else ""


def left(items: list[Any], page: str) -> list[Any]:
    """Those that are no cells of the fault matrix, or of which the page does not say that they passed."""
    ends = read(page).ends
    return [item for item in items if ends.get(_cell(item)) != PASSED]


def _cell(item: Any) -> Any:
    """The cell that a test is about, if it is about one."""
    return item.callspec.params.get("cell") if hasattr(item, "callspec") else None
