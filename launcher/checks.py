"""All of preflight, put together: what `plan` shows and `launch` demands."""

import os
import shutil
import sys
from pathlib import Path

from launcher.backends.local import find_python
from launcher.engine import cards
from launcher.preflight import data, disk, gpus, image, pins, secrets, settings
from launcher.preflight.finding import Finding
from launcher.request import Planned
from launcher.site import SiteFile


def quick(planned: Planned, root: Path, store: Path) -> list[Finding]:
    """The checks that cost no time."""
    plan = planned.plan
    here = plan.machine.cloud in ("local", "docker")
    return [
        pins.check(plan, paid=not here),
        data.given({**planned.recipe.file.inputs, **planned.recipe.change.inputs}, planned.inputs),
        settings.check(plan, planned.recipe, root),
        disk.check(plan, _free(store) if here else None),
        secrets.check(plan, os.environ),
        *([image.check(plan), gpus.check(plan, cards())] if plan.machine.cloud == "docker" else []),
    ]


def thorough(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    """The quick ones, and the recipe's own look at the data."""
    python = find_python(root, site.local.python) if planned.plan.machine.cloud == "local" else Path(sys.executable)
    found = quick(planned, root, site.local_store)
    return [*found, data.check(planned.recipe.file.check, planned.inputs, root, python)]


def _free(place: Path) -> int:
    place = place.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
