"""All of preflight, put together: what `plan` shows and `launch` demands."""

import os
import shutil
from pathlib import Path

from launcher.preflight import data, disk, pins, secrets, settings
from launcher.preflight.finding import Finding
from launcher.request import Planned


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
    ]


def thorough(planned: Planned, root: Path, store: Path, python: Path) -> list[Finding]:
    """The quick ones, and the recipe's own look at the data."""
    return [*quick(planned, root, store), data.check(planned.recipe.file.check, planned.inputs, root, python)]


def _free(place: Path) -> int:
    place = place.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
