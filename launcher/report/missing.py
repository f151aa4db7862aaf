"""What a reader might look for in a report and not find, and why. Pure."""

import math
from collections.abc import Iterator
from itertools import pairwise

from launcher.report.facts import Facts

WANTED = {"reward": "reward", "loss": "loss", "KL": "kl", "d_acc": "d_acc", "length": "length", "entropy": "entropy"}
"""What a report is opened for -> part of a metric's name."""


def missing(facts: Facts) -> list[str]:
    """A sentence for each."""
    return list(_missing(facts))


def _missing(facts: Facts) -> Iterator[str]:
    names = {name.lower() for steps in facts.history.values() for one in steps.values() for name in one}
    absent = [label for label, part in WANTED.items() if not any(part in name for name in names)]
    if absent:
        yield f"no stage reported: {', '.join(absent)}"
    for stage, steps in facts.history.items():
        if not any(steps.values()):
            continue
        gaps = _gaps(list(steps))
        if gaps:
            yield f"{stage}: {gaps:,} steps have no numbers (events tell of one step a second at most)"
        broken = sum(
            1
            for one in steps.values()
            for value in one.values()
            if isinstance(value, float) and not math.isfinite(value)
        )
        if broken:
            yield f"{stage}: {broken:,} values are NaN or infinite, and are left out of the curves"
    if not facts.evaluations:
        yield "no stage left an evaluation, or it is not here"
    if not facts.gpus:
        yield "no GPU was looked at: there was none, or no `nvidia-smi`"
    if facts.manifest is None:
        yield "no manifest: nothing was exported yet, and no file's sha256 is known"
    if not facts.commands:
        yield "the commands that launched it were not kept"
    for one in facts.machines:
        if one.price is None:
            yield f"the price of a machine on {one.cloud or one.clouds} is not known: it is not in the sum"


def _gaps(steps: list[int]) -> int:
    """How many steps between the first and the last are not there; many at a regular distance are no gap."""
    if len(steps) < 2:
        return 0
    distance = min(later - earlier for earlier, later in pairwise(steps))
    return (steps[-1] - steps[0]) // distance + 1 - len(steps)
