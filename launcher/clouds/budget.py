"""How long a machine may work on a run: from the budget, what was spent before, and the price. Pure."""

from typing import Any

from launcher.errors import LaunchError
from launcher.runfolder.plan import Plan

RESERVE = 300.0
"""Seconds before the end in which a run is asked to stop, beyond its stages' grace: to store what it has."""
LEAST = 60.0
"""A machine that could work for fewer seconds than this is not worth its start."""


def seconds_left(plan: Plan, hours: float, dollars: float, price: float | None) -> float | None:
    """What the budget leaves after `hours` and `dollars` were spent, at `price` per hour; None without a limit. Raises
    LaunchError when it leaves nothing."""
    limits: list[float] = []
    if (most := plan.budget.max_hours) is not None:
        limits.append((most - hours) * 3600)
    if (cost := plan.budget.max_cost) is not None:
        if dollars >= cost:
            raise LaunchError(
                f"run `{plan.run}` has cost ${dollars:.2f}, its budget is ${cost:.2f}", "allow more with `--max-cost`"
            )
        if price:
            limits.append((cost - dollars) / price * 3600)
    if limits and min(limits) < LEAST:
        raise LaunchError(
            f"the budget of run `{plan.run}` is used up: {hours:.2f} hours and ${dollars:.2f}",
            "allow more with `--max-hours` or `--max-cost`",
        )
    return min(limits, default=None)


def limits(plan: Plan, left: float | None, stall_minutes: float, now: float) -> dict[str, Any]:
    """limits.json for the node program: it stops by itself, whether or not anybody watches."""
    reserve = RESERVE + max(stage.grace for stage in plan.stages)
    return {
        "format": 1,
        "until": None if left is None else now + left,
        "reason": "budget",
        # a short budget is not all reserve
        "reserve_seconds": reserve if left is None else min(reserve, left / 4),
        "stall_seconds": stall_minutes * 60,
    }
