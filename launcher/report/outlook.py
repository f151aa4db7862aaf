"""What a running run's numbers mean for its owner: what is at risk, how fast it is, whether it stands still; and what
is known of it beyond its events, which says so. Pure, but for the files that `outside` reads."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.clouds.ledger import Ledger
from launcher.format import duration
from launcher.runfolder.files import read_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import Checkpoint, RunStatus, StageStatus
from launcher.transfer.mirror import BROUGHT

TELLING = ("loss", "reward", "acc", "kl", "entropy", "rouge", "length")
"""Parts of metrics' names, the most telling first."""
APART = ("time", "seconds", "perf", "timing", "lr", "learning_rate", "eta", "epoch")
"""How a part of a name begins when it says how it is done, and not how it goes."""
RATE = re.compile(r"tokens?(_per_|/)s(ec(ond)?)?$")
GIB = 1024
KEPT = {"local", "docker", "slurm"}
"""Clouds whose disks outlive a run's end."""


@dataclass(frozen=True)
class RunFacts:
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


def telling(metrics: Mapping[str, object]) -> list[str]:
    """The names of a step's numbers, losses and the like before anything else."""
    names = [name for name, value in metrics.items() if isinstance(value, int | float)]
    names = [name for name in names if not any(part.startswith(APART) for part in name.split("/"))]
    return sorted(names, key=lambda name: next((at for at, word in enumerate(TELLING) if word in name), len(TELLING)))


def curve(stage: StageStatus, name: str) -> list[float]:
    """The metric over the steps at which it was reported, in their order."""
    return [history[name] for _, history in sorted(stage.history.items()) if name in history]


def cost(outside: RunFacts) -> str:
    """`$12.40 of $100.00, $3.65 an hour`; empty where nothing is paid."""
    if not outside.paid:
        return ""
    if outside.spent is None:
        return "price unknown"
    budget = f" of ${outside.max_cost:.2f}" if outside.max_cost is not None else ""
    rate = f", ${outside.price:.2f} an hour" if outside.price is not None else ""
    return f"${outside.spent:.2f}{budget} so far{rate}"


def speed(stage: StageStatus) -> str:
    """Seconds a step, and tokens a second when the metrics have them."""
    found = [f"{stage.pace:.3g} s a step"] if stage.pace else []
    for name, value in stage.metrics.items():
        if RATE.search(name) and math.isfinite(value):
            found.append(f"{value:,.0f} tokens/s")
            break
        if name == "perf/throughput" and math.isfinite(value):  # verl's
            found.append(f"{value:,.0f} tokens/s a GPU")
            break
    return ", ".join(found)


def gpus(status: RunStatus) -> str:
    """The fullest GPU's memory, and how busy all are; empty when the machine said nothing, or is gone."""
    said = status.gpus
    if status.state != "running" or not said or not said.get("used"):
        return ""
    used, busy = max(said["used"]), sum(said["busy"]) / len(said["busy"])
    memory = f"{used / GIB:.1f} of {said['total'] / GIB:.1f} GiB"
    most = " on the fullest" if len(said["used"]) > 1 else ""
    return f"{len(said['used'])} x {said['name']}: {memory}{most}, {busy:.0f} % busy"


def safe(stage: StageStatus, outside: RunFacts) -> Checkpoint | None:
    """The last checkpoint that outlives the machine: on a rented one, what a bucket holds or was copied here."""
    if not outside.rented:
        return stage.checkpoints[-1] if stage.checkpoints else None
    here = [one for one in stage.checkpoints if outside.brought.get(f"stages/{stage.name}/work/{one.name}") == one.time]
    kept = [one for one in (stage.stored, *here) if one]
    return max(kept, key=lambda one: one.time, default=None)


def at_risk(status: RunStatus, outside: RunFacts, now: float) -> str:
    """What would be lost if the machine went away now, or is lost; empty when nothing is."""
    stage = status.current
    if stage is None or stage.started is None:
        return ""
    point = safe(stage, outside)
    if not (point or outside.rented or stage.steps):
        return ""
    where = f"last safe checkpoint step {point.step:,}" if point else "no safe checkpoint yet"
    steps = max(0, stage.step - (point.step if point else 0))
    if status.state != "running":
        return (
            f"{where}; {steps:,} later steps are repeated" if point else f"{where}: the stage starts from its beginning"
        )
    passed = max(0.0, now - (point.time if point else stage.started))
    ago = duration(passed) + (" ago" if point else "")
    if outside.rented and outside.price is not None:
        return f"{where}, {ago}, ${passed / 3600 * outside.price:.2f} of work not saved"
    return f"{where}, {ago}, {steps:,} steps not saved"


def quiet(stage: StageStatus | None, outside: RunFacts, now: float) -> str:
    """`no step for 42m 00s`, once that is longer than usual."""
    seconds = stage.quiet(now) if stage else None
    if seconds is None:
        return ""
    limit = f"; the run is stopped after {duration(outside.stall_seconds)}" if outside.stall_seconds else ""
    return f"no step for {duration(seconds)}{limit}"


def outside(plan: Plan, folder: RunFolder, book: Ledger, now: float) -> RunFacts:
    """As the ledger and the laptop's copy of the run folder say it."""
    entries = [one for one in book.entries() if (one.run, one.folder) == (plan.run, str(folder.path))]
    limits, brought = read_json(folder.limits), read_json(folder.path / BROUGHT)
    costs = [cost for one in entries if (cost := one.cost(now)) is not None]
    alive = [one for one in entries if one.ended is None]
    return RunFacts(
        place=alive[-1].cloud or plan.machine.cloud if alive else plan.machine.cloud,
        rented=not set(plan.machine.cloud.split(",")) & KEPT,
        paid=any((one.cloud or one.clouds) != "slurm" for one in entries),
        spent=sum(costs) if costs else None,
        price=alive[-1].price if alive else None,
        max_cost=plan.budget.max_cost,
        stall_seconds=limits.get("stall_seconds") if isinstance(limits, dict) else None,
        brought=brought if isinstance(brought, dict) else {},
    )
