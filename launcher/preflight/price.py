"""What does the run cost an hour, and what do its limits buy?"""

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.clouds.catalog import Catalog
from launcher.clouds.offers import Offer, apart, nearest, offers, old, unpriced
from launcher.clouds.providers import clouds_of, experimental, provider
from launcher.clouds.skypilot import obstacle
from launcher.config.job import Job
from launcher.errors import LaunchError
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.runfolder.plan import Budget, Plan

WORTH = 1 / 6
"""Hours below which a machine is not worth its start: images are pulled and models loaded before a stage begins."""


def check(plan: Plan, job: Job, catalogs: Mapping[str, Catalog]) -> Finding:
    """Every machine that fits with its price, the cheapest first. Refused when none fits, or when the money is gone
    before anything has happened."""
    clouds, budget = clouds_of(plan.machine.cloud), plan.budget
    found, unknown = offers(job, clouds, catalogs), unpriced(clouds, catalogs)
    said = (*unknown.values(), *apart(job, clouds).values(), *old(clouds, catalogs).values())
    if not found:
        return _none(job, clouds, catalogs)
    lines = (*_table(found, budget), *said)
    cheapest = found[0].price_per_hour
    if budget.max_cost is not None and budget.max_cost / cheapest < WORTH:
        return Finding(
            "price",
            REFUSED,
            f"{money(budget.max_cost)} buys {budget.max_cost / cheapest * 60:.1f} minutes of the cheapest machine",
            "raise `--max-cost`, or `budget.max_cost` in site.yaml",
            lines,
        )
    prices = _range([money(one.price_per_hour) for one in found])
    if budget.max_cost is None and budget.max_hours is None:
        hint = "give `--max-cost` or `--max-hours`, or set `budget` in site.yaml"
        return Finding("price", WARNING, f"{prices} an hour, and nothing limits the run", hint, lines)
    ends = [bound(one, budget) for one in found]
    hint = "a machine without a known price may cost more" if unknown else ""
    hours = _range([shown(end) for end in sorted(ends)])
    most = max(end * one.price_per_hour for end, one in zip(ends, found, strict=True))
    says = f"{prices} an hour; ends after {hours} h at the latest, for {money(most)} at most"
    return Finding("price", WARNING if unknown else OK, says, hint, lines)


def bound(offer: Offer, budget: Budget) -> float:
    """The hours after which the first of the limits ends a run on that machine; without limits, infinity."""
    bought = float("inf") if budget.max_cost is None else budget.max_cost / offer.price_per_hour
    return min(bought, float("inf") if budget.max_hours is None else budget.max_hours)


def money(dollars: float) -> str:
    return f"${dollars:,.2f}"


def shown(hours: float) -> str:
    return f"{hours:,.1f}".removesuffix(".0")


def _none(job: Job, clouds: Sequence[str], catalogs: Mapping[str, Catalog]) -> Finding:
    unknown, cannot = unpriced(clouds, catalogs), apart(job, clouds)
    if set(cannot) == set(clouds):
        hint = "take another cloud, or a size that one machine holds"
        return Finding("price", REFUSED, "; ".join(cannot.values()), hint)
    if unknown:
        hint = "without prices only `--max-hours` limits the run"
        says, priced = "; ".join({**unknown, **cannot}.values()), any(provider(cloud) for cloud in unknown)
        return Finding("price", WARNING if priced else UNKNOWN, says, hint)
    near = nearest(job, clouds, catalogs)
    wanted = " or ".join(job.accelerators) or f"{job.cpus or 'any'} CPUs, {job.memory or 'any'} GiB"
    there = f": the nearest there is {_machine(near)} (`{near.instance_type}`)" if near else ""
    return Finding(
        "price",
        REFUSED,
        f"no machine of {' or '.join(clouds)} has {wanted}{there}",
        f"take another cloud, or change `resources` in jobs/{job.path.name}",
    )


def _table(found: Sequence[Offer], budget: Budget) -> list[str]:
    """One line an offer, in columns."""
    rows = []
    for one in found:
        end = bound(one, budget)
        limit = "" if end == float("inf") else f"{shown(end)} h, {money(end * one.price_per_hour)}"
        rows.append((one.cloud, one.instance_type, _machine(one), f"{money(one.price_per_hour)}/h", limit))
    wide = [max(len(row[column]) for row in rows) for column in range(5)] if rows else []
    return [
        "  ".join(
            cell.rjust(width) if column == 3 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, wide, strict=True))
        ).rstrip()
        for row in rows
    ]


def _machine(one: Offer) -> str:
    """`8 x H100-SXM`, or `4 CPUs, 8 GiB`; of each of several nodes."""
    what = f"{one.count} x {one.accelerator}" if one.count else f"{one.cpus:g} CPUs, {one.memory:g} GiB"
    return f"{one.nodes} x ({what})" if one.nodes > 1 else what


def _range(texts: Sequence[str]) -> str:
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def offered(document: Mapping[str, Any], name: str, clouds: Sequence[str]) -> Finding:
    """Does the job file ask for something that SkyPilot does not offer on a cloud that the run may go to?

    Refused when it does: spot machines on Lambda, a bucket's mount on RunPod. For a cloud without a row in the table of
    providers SkyPilot is asked; unknown where SkyPilot would have to ask a cluster. `document`: the job file's, whose
    name is `name`."""
    resources = document.get("resources") or {}
    choices = [resources, *(resources.get("any_of") or resources.get("ordered") or [])]
    spot = any(one.get("use_spot") for one in choices)
    mounted = [place for place, one in (document.get("file_mounts") or {}).items() if _mounts(one)]
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

    Unknown where it was not: a cloud that SkyPilot knows and the table of providers does not. Nothing is said where it
    was. `clouds`: the experimental ones."""
    if not clouds:
        return None
    names = " and ".join(f"`{cloud}`" for cloud in clouds)
    says = f"{names} {'are' if len(clouds) > 1 else 'is'} experimental: no run of this launcher was ever made there"
    hint = f"begin with a small run: `launcher launch gad-tiny --cloud {clouds[0]} --max-hours 1`"
    return Finding("cloud", UNKNOWN, says, hint)


def _mounts(one: Any) -> bool:
    """Whether it is a bucket that is to look like a folder, which is SkyPilot's habit for buckets."""
    return isinstance(one, dict) and str(one.get("mode", "MOUNT")).upper().startswith("MOUNT")
