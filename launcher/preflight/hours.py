"""How long will it take, and what will that cost? From the steps of earlier runs of the recipe on the same GPUs."""

from collections.abc import Iterable, Mapping

from launcher.preflight.finding import OK, UNKNOWN, WARNING, Finding
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus

Past = tuple[Plan, RunStatus]


def check(plan: Plan, past: Iterable[Past], prices: tuple[float, float] | None) -> Finding:
    """Never refused: what earlier runs point to, or that nothing is known. `past`: earlier runs, oldest first;
    `prices`: the cheapest and the dearest machine's, in dollars an hour."""
    counted = {stage.name: stage.steps for stage in plan.stages if stage.steps}
    if not counted:
        return Finding("hours", UNKNOWN, "the number of steps is not known before the run")
    known = paces(plan, past)
    absent = [name for name in counted if name not in known]
    if absent:
        hint = "a short trial measures it: `--run trial --set STAGE.epochs=0.01`"
        return Finding(
            "hours", WARNING, f"not known: no run of `{plan.recipe}` on such GPUs was followed from here", hint
        )
    hours = {name: steps * known[name][0] / 3600 for name, steps in counted.items()}
    total = sum(hours.values())
    told = "; ".join(
        f"{name} {counted[name]:,} steps at {known[name][0]:.3g} s (run `{known[name][1]}`)" for name in counted
    )
    says = f"about {total:.3g} h of steps: {told}"
    if prices:
        low, high = (total * price for price in prices)
        says = f"{says}; " + (f"${low:,.2f}" if low == high else f"${low:,.2f} to ${high:,.2f}")
    limit = plan.budget.max_hours
    if plan.budget.max_cost is not None and prices:
        limit = min(limit or float("inf"), plan.budget.max_cost / prices[0])
    if limit is not None and total > limit:
        return Finding(
            "hours", WARNING, f"{says}; the limits end it after {limit:.3g} h", "raise them, or expect to resume"
        )
    return Finding("hours", OK, says)


def paces(plan: Plan, past: Iterable[Past]) -> Mapping[str, tuple[float, str]]:
    """Stage -> seconds a step and the run it was measured in: the newest of this recipe with one of these GPUs, or with
    none where none are wanted."""
    found: dict[str, tuple[float, str]] = {}
    for other, status in past:
        here, there = plan.machine.accelerators, other.machine.accelerators
        if other.recipe != plan.recipe or (set(here).isdisjoint(there) and (here or there)):
            continue
        for stage in status.stages:
            if stage.pace is not None:
                found[stage.name] = (stage.pace, status.run)
    return found
