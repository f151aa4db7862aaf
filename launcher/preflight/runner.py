"""All of preflight, put together: what `plan` shows and `launch` demands."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from launcher.backends.local import find_python
from launcher.clouds.catalog import folder, read_catalogs
from launcher.clouds.offers import offers
from launcher.config.job import Job
from launcher.config.secrets import values
from launcher.config.site import HERE, SiteFile, clouds_of
from launcher.config.yaml import load
from launcher.errors import LaunchError, did_you_mean
from launcher.images.docker_engine import Card, cards
from launcher.planning.request import Planned
from launcher.preflight import (
    credentials,
    data,
    disk,
    forecast,
    gpus,
    hours,
    image,
    memory,
    pins,
    price,
    resume,
    secrets,
    settings,
    slurm,
)
from launcher.preflight.finding import REFUSED, WARNING, Finding
from launcher.runfolder.events import Tail
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import status
from launcher.transfer.store import Store, read_existing


def quick(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    """The checks that cost no time."""
    return [_overruled(one, planned.plan) for one in _quick(planned, root, site)]


def _quick(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    plan, cloud = planned.plan, planned.plan.machine.cloud
    here = cloud in HERE
    there = cards() if cloud == "docker" else []
    with ThreadPoolExecutor(1) as beside:  # both start programs of the recipe's
        fits = (
            beside.submit(memory.check, plan, planned.recipe, _kinds(plan, there), root) if cloud != "local" else None
        )
        found = [
            pins.check(plan, paid=not here),
            data.given({**planned.recipe.file.inputs, **planned.recipe.change.inputs}, planned.inputs),
            settings.check(plan, planned.recipe, root),
            disk.check(plan, _free(site.local_store) if here else None),
            secrets.check(plan, site, os.environ),
            resume.check(plan, Store(site).machine(plan.run)),
        ]
    if cloud == "docker":
        found += [image.check(plan), gpus.check(plan, there)]
    if fits:
        found += [gpus.kernels(plan, planned.recipe.file.flash_attention, there), fits.result()]
    if not here and planned.job:
        found += _elsewhere(plan, planned.job, site)
    return found


def expected(planned: Planned, root: Path, site: SiteFile) -> list[str]:
    """What the recipe says that the run will do, take and cost."""
    return forecast.lines(planned.plan, planned.recipe, Store(site), root)


def thorough(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    """The quick ones, the recipe's own look at the data, and what the services say of the user's keys."""
    python = find_python(root, site.local.python) if planned.plan.machine.cloud == "local" else Path(sys.executable)
    found = _quick(planned, root, site)
    fine = planned.plan.machine.cloud != "local" and not any(
        one.check == "secrets" and one.level == REFUSED for one in found
    )
    found += [
        data.check(planned.recipe.file.check, planned.inputs, root, python),
        *([pins.sources(planned.plan, paid=planned.plan.machine.cloud not in HERE)] if planned.plan.sources else []),
        *(_remote(planned, root, site) if fine else []),
    ]
    names = [one.check for one in found]
    if wrong := next((name for name in planned.plan.forced if name not in names), None):
        raise LaunchError(f"`--force {wrong}`: no check of this launch is called so", did_you_mean(wrong, names))
    return [_overruled(one, planned.plan) for one in found]


def _overruled(finding: Finding, plan: Plan) -> Finding:
    """What the user forces is a warning, and the plan tells that it was."""
    if finding.level != REFUSED or finding.check not in plan.forced:
        return finding
    return replace(finding, level=WARNING, says=f"overruled by `--force`: {finding.says}")


def _remote(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    """What the services say, with the secrets that the job will have."""
    given = values(planned.plan, site, os.environ)
    looked = data.texts(planned.plan, planned.recipe, planned.inputs, given, root)
    return [secrets.accounts(planned.plan, site, os.environ), looked]


def _kinds(plan: Plan, there: Sequence[Card]) -> list[memory.Kind]:
    """The GPUs that the run may get: those of this machine for a run on it."""
    if there and plan.machine.accelerators:
        return [memory.kind_of(there)]
    return memory.kinds_of(plan.machine.accelerators, plan.machine.nodes)


def _elsewhere(plan: Plan, job: Job, site: SiteFile) -> list[Finding]:
    if plan.machine.cloud == "slurm" and site.slurm:
        return [
            *([credentials.cluster(site.slurm, Path.home())] if site.slurm.via == "sky" else []),
            *([image.in_registry(plan, site.registry)] if plan.image else []),
            slurm.queue(plan, site.slurm),
            *([slurm.workspace(site.slurm)] if (site.slurm.work or "").startswith("ws:") else []),
            hours.check(plan, _past(plan, site), None),
        ]
    clouds = clouds_of(plan.machine.cloud)
    catalogs = read_catalogs(clouds, folder(os.environ), time.time())
    prices = [one.price_per_hour for one in offers(job, clouds, catalogs)]
    return [
        price.check(plan, job, catalogs),
        credentials.check(clouds, Path.home()),
        price.offered(load(job.path), job.path.name, clouds),
        hours.check(plan, _past(plan, site), (prices[0], prices[-1]) if prices else None),
    ]


def _past(plan: Plan, site: SiteFile) -> list[hours.Past]:
    """Earlier runs of the recipe, as far as they can be read; a damaged one teaches nothing."""
    store, found = Store(site), []
    for name in store.runs():
        with contextlib.suppress(LaunchError):
            other = read_existing(store.machine(name))
            if other and other.recipe == plan.recipe:
                found.append((other, status(other, Tail(store.machine(name).events).new(), False)))
    return found


def _free(place: Path) -> int:
    place = place.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
