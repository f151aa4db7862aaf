"""What is known of a run beyond its events: where it is, what it costs, and what of it is safe from the machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.clouds.ledger import Ledger
from launcher.runfolder.files import read_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.mirror import BROUGHT

KEPT = {"local", "docker", "slurm"}
"""Clouds whose disks outlive a run's end."""


@dataclass(frozen=True)
class Outside:
    """`spent` and `price` (an hour) in dollars, None where nothing is paid or no price is known."""

    place: str = "local"
    rented: bool = False
    """Whether what is on the machine goes with it."""
    paid: bool = False
    spent: float | None = None
    price: float | None = None
    max_cost: float | None = None
    stall_seconds: float | None = None
    """After so long without progress the node program stops the run."""
    brought: Mapping[str, float] = field(default_factory=dict)
    """Path below the run folder -> when it was made, of what was copied here from the machine."""


def outside(plan: Plan, folder: RunFolder, book: Ledger, now: float) -> Outside:
    """As the ledger and the laptop's copy of the run folder say it."""
    entries = [one for one in book.entries() if (one.run, one.folder) == (plan.run, str(folder.path))]
    limits, brought = read_json(folder.limits), read_json(folder.path / BROUGHT)
    costs = [cost for one in entries if (cost := one.cost(now)) is not None]
    alive = [one for one in entries if one.ended is None]
    return Outside(
        place=alive[-1].cloud or plan.machine.cloud if alive else plan.machine.cloud,
        rented=not set(plan.machine.cloud.split(",")) & KEPT,
        paid=any((one.cloud or one.clouds) != "slurm" for one in entries),
        spent=sum(costs) if costs else None,
        price=alive[-1].price if alive else None,
        max_cost=plan.budget.max_cost,
        stall_seconds=limits.get("stall_seconds") if isinstance(limits, dict) else None,
        brought=brought if isinstance(brought, dict) else {},
    )
