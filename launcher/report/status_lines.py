"""The lines of `status` about a run: its speed, its cost, what is at risk, whether it makes progress. Pure, except for
`run_facts`, which reads files."""

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
from launcher.transfer.mirror import COPIES

MAIN = ("loss", "reward", "acc", "kl", "entropy", "rouge", "length")
"""Parts of the names of metrics, the most important first."""
APART = ("time", "seconds", "perf", "timing", "lr", "learning_rate", "eta", "epoch")
"""Beginnings of parts of names of metrics that are about time or settings, not about the result."""
RATE = re.compile(r"tokens?(_per_|/)s(ec(ond)?)?$")
GIB = 1024
LASTING = {"local", "docker", "slurm"}
"""Clouds whose disks remain after a run."""


@dataclass(frozen=True)
class RunFacts:
    """What the events do not say about a run. `spent` and `price` (an hour) are in dollars; None if nothing is paid, or
    if the price is unknown."""

    cloud: str = "local"
    rented: bool = False
    """Whether the files on the machine are lost when it is terminated."""
    paid: bool = False
    spent: float | None = None
    price: float | None = None
    max_cost: float | None = None
    stall_seconds: float | None = None
    """After so many seconds without progress the node program stops the run."""
    copies: Mapping[str, float] = field(default_factory=dict)
    """What was copied here from the machine: path below the run folder -> when it was made."""


def main_metrics(metrics: Mapping[str, object]) -> list[str]:
    """The names of a step's metrics about the result, losses and the like first."""
    names = [name for name, value in metrics.items() if isinstance(value, int | float)]
    names = [name for name in names if not any(part.startswith(APART) for part in name.split("/"))]
    return sorted(names, key=lambda name: next((at for at, part in enumerate(MAIN) if part in name), len(MAIN)))


def curve(stage: StageStatus, name: str) -> list[float]:
    """The values of the metric, in the order of their steps."""
    return [history[name] for _, history in sorted(stage.history.items()) if name in history]


def cost(facts: RunFacts) -> str:
    """`$12.40 of $100.00 so far, $3.65 an hour`; empty if nothing is paid."""
    if not facts.paid:
        return ""
    if facts.spent is None:
        return "price unknown"
    budget = f" of ${facts.max_cost:.2f}" if facts.max_cost is not None else ""
    rate = f", ${facts.price:.2f} an hour" if facts.price is not None else ""
    return f"${facts.spent:.2f}{budget} so far{rate}"


def speed(stage: StageStatus) -> str:
    """Seconds per step, and tokens per second if the metrics have them."""
    texts = [f"{stage.pace:.3g} s a step"] if stage.pace else []
    for name, value in stage.metrics.items():
        if RATE.search(name) and math.isfinite(value):
            texts.append(f"{value:,.0f} tokens/s")
            break
        if name == "perf/throughput" and math.isfinite(value):  # verl's
            texts.append(f"{value:,.0f} tokens/s a GPU")
            break
    return ", ".join(texts)


def gpus(status: RunStatus) -> str:
    """The memory of the fullest GPU and the mean load of all; empty if the machine reported nothing, or is gone."""
    usage = status.gpus
    if status.state != "running" or not usage or not usage.get("used"):
        return ""
    used, busy = max(usage["used"]), sum(usage["busy"]) / len(usage["busy"])
    memory = f"{used / GIB:.1f} of {usage['total'] / GIB:.1f} GiB"
    most = " on the fullest" if len(usage["used"]) > 1 else ""
    return f"{len(usage['used'])} x {usage['name']}: {memory}{most}, {busy:.0f} % busy"


def safe(stage: StageStatus, facts: RunFacts) -> Checkpoint | None:
    """The last checkpoint that is not lost with the machine: if that is rented, one in a bucket or copied here."""
    if not facts.rented:
        return stage.checkpoints[-1] if stage.checkpoints else None
    folder = f"stages/{stage.name}/work"
    copied = [point for point in stage.checkpoints if facts.copies.get(f"{folder}/{point.name}") == point.time]
    return max(filter(None, (stage.stored, *copied)), key=lambda point: point.time, default=None)


def at_risk(status: RunStatus, facts: RunFacts, now: float) -> str:
    """What is lost if the machine ends now, or has been lost; empty if nothing is."""
    stage = status.current
    if stage is None or stage.started is None:
        return ""
    point = safe(stage, facts)
    if not (point or facts.rented or stage.steps):
        return ""
    where = f"last safe checkpoint step {point.step:,}" if point else "no safe checkpoint yet"
    steps = max(0, stage.step - (point.step if point else 0))
    if status.state != "running":
        return (
            f"{where}; {steps:,} later steps are repeated" if point else f"{where}: the stage starts from its beginning"
        )
    passed = max(0.0, now - (point.time if point else stage.started))
    ago = duration(passed) + (" ago" if point else "")
    if facts.rented and facts.price is not None:
        return f"{where}, {ago}, ${passed / 3600 * facts.price:.2f} of work not saved"
    return f"{where}, {ago}, {steps:,} steps not saved"


def quiet(stage: StageStatus | None, facts: RunFacts, now: float) -> str:
    """`no step for 42m 00s`, if that is longer than usual."""
    seconds = stage.quiet(now) if stage else None
    if seconds is None:
        return ""
    limit = f"; the run is stopped after {duration(facts.stall_seconds)}" if facts.stall_seconds else ""
    return f"no step for {duration(seconds)}{limit}"


def run_facts(plan: Plan, folder: RunFolder, book: Ledger, now: float) -> RunFacts:
    """The facts from the ledger and from the laptop's copy of the run folder."""
    entries = book.of_folder(plan.run, folder.path)
    limits, copies = read_json(folder.limits), read_json(folder.path / COPIES)
    costs = [cost for entry in entries if (cost := entry.cost(now)) is not None]
    alive = [entry for entry in entries if entry.ended is None]
    return RunFacts(
        cloud=alive[-1].cloud or plan.machine.cloud if alive else plan.machine.cloud,
        rented=not set(plan.machine.cloud.split(",")) & LASTING,
        paid=any((entry.cloud or entry.clouds) != "slurm" for entry in entries),
        spent=sum(costs) if costs else None,
        price=alive[-1].price if alive else None,
        max_cost=plan.budget.max_cost,
        stall_seconds=limits.get("stall_seconds") if isinstance(limits, dict) else None,
        copies=copies if isinstance(copies, dict) else {},
    )
