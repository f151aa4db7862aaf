"""All of preflight, put together: what `plan` shows and `launch` demands."""

import os
import shutil
import sys
import time
from pathlib import Path

from launcher.backends.local import find_python
from launcher.catalog import folder, read_catalogs
from launcher.engine import cards
from launcher.job import Job
from launcher.node.records import Plan
from launcher.preflight import credentials, data, disk, gpus, image, pins, price, queue, secrets, settings
from launcher.preflight.finding import REFUSED, Finding
from launcher.request import Planned
from launcher.site import HERE, SiteFile, clouds_of


def quick(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    """The checks that cost no time."""
    plan = planned.plan
    here = plan.machine.cloud in HERE
    return [
        pins.check(plan, paid=not here),
        data.given({**planned.recipe.file.inputs, **planned.recipe.change.inputs}, planned.inputs),
        settings.check(plan, planned.recipe, root),
        disk.check(plan, _free(site.local_store) if here else None),
        secrets.check(plan, site, os.environ),
        *([image.check(plan), gpus.check(plan, cards())] if plan.machine.cloud == "docker" else []),
        *([] if here or planned.job is None else _elsewhere(plan, planned.job, site)),
    ]


def thorough(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    """The quick ones, the recipe's own look at the data, and what the services say of the user's keys."""
    python = find_python(root, site.local.python) if planned.plan.machine.cloud == "local" else Path(sys.executable)
    found = quick(planned, root, site)
    fine = planned.plan.machine.cloud != "local" and not any(
        one.check == "secrets" and one.level == REFUSED for one in found
    )
    return [
        *found,
        data.check(planned.recipe.file.check, planned.inputs, root, python),
        *([secrets.live(planned.plan, site, os.environ)] if fine else []),
    ]


def _elsewhere(plan: Plan, job: Job, site: SiteFile) -> list[Finding]:
    if plan.machine.cloud == "slurm" and site.slurm and site.slurm.via == "sbatch":
        return [queue.check(plan, site.slurm)]
    clouds = clouds_of(plan.machine.cloud)
    catalogs = read_catalogs(clouds, folder(os.environ), time.time())
    return [price.check(plan, job, catalogs), credentials.check(clouds, Path.home())]


def _free(place: Path) -> int:
    place = place.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
