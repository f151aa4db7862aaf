"""All of preflight, put together: what `plan` shows and `launch` demands."""

import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from launcher.backends.local import find_python
from launcher.catalog import folder, read_catalogs
from launcher.engine import cards
from launcher.errors import LaunchError, did_you_mean
from launcher.job import Job
from launcher.node.records import Plan
from launcher.preflight import (
    credentials,
    data,
    disk,
    gpus,
    image,
    memory,
    pins,
    price,
    queue,
    secrets,
    settings,
    texts,
)
from launcher.preflight.finding import REFUSED, WARNING, Finding
from launcher.request import Planned
from launcher.secrets import values
from launcher.site import HERE, SiteFile, clouds_of


def quick(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    """The checks that cost no time."""
    return [_overruled(one, planned.plan) for one in _quick(planned, root, site)]


def _quick(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    plan = planned.plan
    here = plan.machine.cloud in HERE
    return [
        pins.check(plan, paid=not here),
        data.given({**planned.recipe.file.inputs, **planned.recipe.change.inputs}, planned.inputs),
        settings.check(plan, planned.recipe, root),
        disk.check(plan, _free(site.local_store) if here else None),
        secrets.check(plan, site, os.environ),
        *([image.check(plan), gpus.check(plan, cards())] if plan.machine.cloud == "docker" else []),
        *([] if plan.machine.cloud == "local" else [_memory(planned, root)]),
        *([] if here or planned.job is None else _elsewhere(plan, planned.job, site)),
    ]


def thorough(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    """The quick ones, the recipe's own look at the data, and what the services say of the user's keys."""
    python = find_python(root, site.local.python) if planned.plan.machine.cloud == "local" else Path(sys.executable)
    found = _quick(planned, root, site)
    fine = planned.plan.machine.cloud != "local" and not any(
        one.check == "secrets" and one.level == REFUSED for one in found
    )
    found += [
        data.check(planned.recipe.file.check, planned.inputs, root, python),
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
    looked = texts.check(planned.plan, planned.recipe, planned.inputs, given, root)
    return [secrets.live(planned.plan, site, os.environ), looked]


def _memory(planned: Planned, root: Path) -> Finding:
    machine = planned.plan.machine
    kinds = memory.kinds_of(machine.accelerators, machine.nodes)
    if machine.cloud == "docker":
        kinds = [memory.kind_of(here)] if kinds and (here := cards()) else []
    return memory.check(planned.plan, planned.recipe, kinds, root)


def _elsewhere(plan: Plan, job: Job, site: SiteFile) -> list[Finding]:
    if plan.machine.cloud == "slurm" and site.slurm:
        known = [credentials.cluster(site.slurm, Path.home())] if site.slurm.via == "sky" else []
        return [*known, queue.check(plan, site.slurm)]
    clouds = clouds_of(plan.machine.cloud)
    catalogs = read_catalogs(clouds, folder(os.environ), time.time())
    return [price.check(plan, job, catalogs), credentials.check(clouds, Path.home())]


def _free(place: Path) -> int:
    place = place.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
