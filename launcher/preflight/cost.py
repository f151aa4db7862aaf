"""What will the run cost, how long will it take, and can the cloud do what the job file asks for?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.clouds.catalog import Catalog
from launcher.clouds.offers import Offer, joining_faults, missing_prices, nearest, offers, old_prices
from launcher.clouds.providers import clouds_of, experimental, provider
from launcher.clouds.skypilot import obstacle
from launcher.config.job import Job
from launcher.config.recipe import Recipe
from launcher.errors import LaunchError
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.preflight.recipe import ask_about
from launcher.runfolder.done import read_done
from launcher.runfolder.plan import Budget, Plan, settings_of
from launcher.runfolder.status import RunStatus
from launcher.transfer.store import Store, plan_of

WORTH = 1 / 6
"""Hours below which a machine is not worth its start: images are pulled and models loaded before a stage begins."""


def price(plan: Plan, job: Job, catalogs: Mapping[str, Catalog]) -> Finding:
    """What does the run cost an hour, and how long do its limits let it run?

    Every machine that fits with its price, the cheapest first. Refused when none fits, or when the money is gone
    before anything has happened."""
    clouds, budget = clouds_of(plan.machine.cloud), plan.budget
    fitting, unknown = offers(job, clouds, catalogs), missing_prices(clouds, catalogs)
    notes = (*unknown.values(), *joining_faults(job, clouds).values(), *old_prices(clouds, catalogs).values())
    if not fitting:
        return _none(job, clouds, catalogs)
    lines = (*_table(fitting, budget), *notes)
    cheapest = fitting[0].price_per_hour
    if budget.max_cost is not None and budget.max_cost / cheapest < WORTH:
        return Finding(
            "price",
            REFUSED,
            f"{money(budget.max_cost)} pays for {budget.max_cost / cheapest * 60:.1f} minutes of the cheapest machine",
            "raise `--max-cost`, or `budget.max_cost` in site.yaml",
            lines,
        )
    prices = _range([money(offer.price_per_hour) for offer in fitting])
    if budget.max_cost is None and budget.max_hours is None:
        hint = "give `--max-cost` or `--max-hours`, or set `budget` in site.yaml"
        return Finding("price", WARNING, f"{prices} an hour, and nothing limits the run", hint, lines)
    ends = [bound(offer, budget) for offer in fitting]
    hint = "a machine without a known price may cost more" if unknown else ""
    hours = _range([hours_text(end) for end in sorted(ends)])
    most = max(end * offer.price_per_hour for end, offer in zip(ends, fitting, strict=True))
    says = f"{prices} an hour; ends after {hours} h at the latest, for {money(most)} at most"
    return Finding("price", WARNING if unknown else OK, says, hint, lines)


def bound(offer: Offer, budget: Budget) -> float:
    """The hours after which the first of the limits ends a run on that machine; without limits, infinity."""
    paid = float("inf") if budget.max_cost is None else budget.max_cost / offer.price_per_hour
    return min(paid, float("inf") if budget.max_hours is None else budget.max_hours)


def money(dollars: float) -> str:
    return f"${dollars:,.2f}"


def hours_text(hours: float) -> str:
    return f"{hours:,.1f}".removesuffix(".0")


def _none(job: Job, clouds: Sequence[str], catalogs: Mapping[str, Catalog]) -> Finding:
    unknown, cannot = missing_prices(clouds, catalogs), joining_faults(job, clouds)
    if set(cannot) == set(clouds):
        hint = "take another cloud, or a size that one machine holds"
        return Finding("price", REFUSED, "; ".join(cannot.values()), hint)
    if unknown:
        hint = "without prices only `--max-hours` limits the run"
        return Finding("price", UNKNOWN, "; ".join({**unknown, **cannot}.values()), hint)
    near = nearest(job, clouds, catalogs)
    needed = " or ".join(job.accelerators) or f"{job.cpus or 'any'} CPUs, {job.memory or 'any'} GiB"
    there = f": the nearest there is {_machine(near)} (`{near.instance_type}`)" if near else ""
    return Finding(
        "price",
        REFUSED,
        f"no machine of {' or '.join(clouds)} has {needed}{there}",
        f"take another cloud, or change `resources` in jobs/{job.path.name}",
    )


def _table(fitting: Sequence[Offer], budget: Budget) -> list[str]:
    """One line an offer, in columns."""
    rows = []
    for offer in fitting:
        end = bound(offer, budget)
        limit = "" if end == float("inf") else f"{hours_text(end)} h, {money(end * offer.price_per_hour)}"
        rows.append((offer.cloud, offer.instance_type, _machine(offer), f"{money(offer.price_per_hour)}/h", limit))
    wide = [max(len(row[column]) for row in rows) for column in range(5)] if rows else []
    return [
        "  ".join(
            cell.rjust(width) if column == 3 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, wide, strict=True))
        ).rstrip()
        for row in rows
    ]


def _machine(offer: Offer) -> str:
    """`8 x H100-SXM`, or `4 CPUs, 8 GiB`; of each of several nodes."""
    what = f"{offer.count} x {offer.accelerator}" if offer.count else f"{offer.cpus:g} CPUs, {offer.memory:g} GiB"
    return f"{offer.nodes} x ({what})" if offer.nodes > 1 else what


def _range(texts: Sequence[str]) -> str:
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def features(document: Mapping[str, Any], name: str, clouds: Sequence[str]) -> Finding:
    """Does the job file ask for something that SkyPilot does not offer on a cloud that the run may go to?

    Refused when it does: spot machines on Lambda, a bucket's mount on RunPod. For a cloud without a row in the table of
    providers SkyPilot is asked; unknown where SkyPilot would have to ask a cluster. `document`: the job file's, whose
    name is `name`."""
    resources = document.get("resources") or {}
    choices = [resources, *(resources.get("any_of") or resources.get("ordered") or [])]
    spot = any(choice.get("use_spot") for choice in choices)
    mounted = [path for path, source in (document.get("file_mounts") or {}).items() if _mounts(source)]
    for cloud in clouds:
        row = provider(cloud)
        if row and row.no_spot and spot:
            return Finding("offers", REFUSED, f"{row.no_spot}, and jobs/{name} has `use_spot`", "take it out")
        if row and row.no_mount and mounted:
            hint = "`mode: COPY` copies it; `bucket:` in site.yaml keeps checkpoints without a mount"
            return Finding("offers", REFUSED, f"{row.no_mount}; jobs/{name} mounts `{mounted[0]}`", hint)
    unknown = []
    for cloud in experimental(clouds):
        try:
            reason = obstacle(cloud, document.get("num_nodes") or 1, spot, bool(mounted))
        except LaunchError:
            unknown.append(cloud)
            continue
        if reason:
            return Finding(
                "offers", REFUSED, f"SkyPilot cannot run this job on {cloud}: {reason}", "take another cloud"
            )
    if unknown:
        says = f"not checked: whether {' and '.join(unknown)} supports everything in the job file"
        return Finding("offers", UNKNOWN, says, "SkyPilot says it at the launch, before a machine is rented")
    if clouds and experimental(clouds) == [*clouds]:
        return Finding("offers", OK, f"SkyPilot can do on {' and '.join(clouds)} what the job file asks for")
    return Finding("offers", OK, "the cloud supports everything in the job file")


def experiment(clouds: Sequence[str]) -> Finding | None:
    """Was this launcher ever tested on the cloud?

    Unknown for a cloud that SkyPilot knows and that is not in the table of providers. Other clouds have no such line.
    `clouds`: the experimental ones."""
    if not clouds:
        return None
    names = " and ".join(f"`{cloud}`" for cloud in clouds)
    says = f"{names} {'are' if len(clouds) > 1 else 'is'} experimental: no run of this launcher was ever made there"
    hint = f"begin with a small run: `launcher launch gad-tiny --cloud {clouds[0]} --max-hours 1`"
    return Finding("cloud", UNKNOWN, says, hint)


def _mounts(source: Any) -> bool:
    """Whether it is a bucket that is to look like a folder, which is SkyPilot's habit for buckets."""
    return isinstance(source, dict) and str(source.get("mode", "MOUNT")).upper().startswith("MOUNT")


Past = tuple[Plan, RunStatus]


def hours(plan: Plan, past: Iterable[Past], prices: tuple[float, float] | None) -> Finding:
    """How long will it take, and what will that cost? From the steps of earlier runs of the recipe on the same GPUs.

    Never refused: what earlier runs point to, or that nothing is known. `past`: earlier runs, oldest first;
    `prices`: the cheapest and the dearest machine's, in dollars an hour."""
    counted = {stage.name: stage.steps for stage in plan.stages if stage.steps}
    if not counted:
        return Finding("hours", UNKNOWN, "the number of steps is not known before the run")
    known = paces(plan, past)
    absent = [name for name in counted if name not in known]
    if absent:
        hint = "a short trial measures it: `--run trial --set STAGE.epochs=0.01`"
        return Finding(
            "hours", UNKNOWN, f"not known: no run of `{plan.recipe}` on such GPUs was followed from here", hint
        )
    hours = {name: steps * known[name][0] / 3600 for name, steps in counted.items()}
    total = sum(hours.values())
    told = "; ".join(
        f"{name} {counted[name]:,} steps at {known[name][0]:.3g} s (run `{known[name][1]}`)" for name in counted
    )
    says = f"the training steps take about {total:.3g} h: {told}"
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
    measured: dict[str, tuple[float, str]] = {}
    for other, status in past:
        here, there = plan.machine.accelerators, other.machine.accelerators
        if other.recipe != plan.recipe or (set(here).isdisjoint(there) and (here or there)):
            continue
        for stage in status.stages:
            if stage.pace is not None:
                measured[stage.name] = (stage.pace, status.run)
    return measured


RUNS = 20
"""Earlier runs that are looked at, the newest first."""


def outlook(plan: Plan, recipe: Recipe, store: Store, root: Path) -> list[str]:
    """What the recipe's `outlook` command prints; a sentence when it fails, nothing when there is none."""
    if recipe.file.outlook is None:
        return []
    request = {
        "stages": [{"name": stage.name, "settings": settings_of(stage)} for stage in plan.stages],
        "measured": list(measurements(recipe.family, store)),
    }
    answer = ask_about(recipe.file.outlook, request, root)
    return [f"no outlook: {answer.error}"] if answer.code else answer.out.rstrip().splitlines()


def measurements(family: str, store: Store) -> Iterator[dict[str, Any]]:
    """The finished stages of the family's runs, the newest run first: what they were told and what they measured."""
    looked = 0
    for run in reversed(store.runs()):
        folder = store.folder(run)
        try:
            plan = plan_of(folder)
        except LaunchError:  # a damaged plan is another command's matter
            continue
        if not plan.recipe.startswith(f"{family}-"):
            continue
        looked += 1
        for stage in reversed(plan.stages):
            done = read_done(folder.stage(stage.name).done)
            if done and done["metrics"]:
                where = " or ".join(plan.machine.accelerators) or "CPU"
                yield {
                    "run": run,
                    "recipe": plan.recipe,
                    "where": f"{plan.machine.cloud}, {where}",
                    "stage": stage.name,
                    "settings": settings_of(stage),
                    "metrics": done["metrics"],
                }
        if looked == RUNS:
            return
