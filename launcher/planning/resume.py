"""The plan of a run that exists, for another place: what it does stays as it is, where it does it does not."""

from dataclasses import replace
from pathlib import Path

from launcher.config.site import SiteFile
from launcher.planning.request import Planned, Request, planned
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan


def resumed(old: Plan, folder: RunFolder, request: Request, root: Path, site: SiteFile) -> Planned:
    """`old`, which lies in `folder`, for the request's cloud and budget. Its inputs need not be where they were. Raises
    LaunchError."""
    new = planned(replace(request, recipe=old.recipe, run=old.run), root, site)
    place = new.plan
    plan = replace(
        old,
        machine=place.machine,
        image=place.image,
        environment=place.environment,
        code=place.code,
        budget=place.budget,
        bucket=place.bucket,
        forced=place.forced,
    )
    inputs = {name: replace(one, path=str(folder.inputs / one.file)) for name, one in old.inputs.items()}
    return Planned(plan, new.recipe, inputs, new.job)
