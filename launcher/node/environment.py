"""The environment that a stage's process gets: where its imports come from, and nothing of an outer program's."""

import os
from collections.abc import Mapping
from pathlib import Path

from launcher.node.checkout import CheckoutError, checkout, import_path
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan, Stage
from launcher.runfolder.problem import Problem

OWN = str(Path(__file__).resolve().parent.parent.parent)
"""Where this program itself is imported from: no stage's business."""


def environment(plan: Plan, stage: Stage, folder: RunFolder, code: Path, base: Mapping[str, str]) -> dict[str, str]:
    """`base` plus a PYTHONPATH on which the stage's pinned source comes first and the recipes' code next."""
    given = [place for place in base.get("PYTHONPATH", "").split(os.pathsep) if place not in ("", OWN)]
    path = [str(code), *given]
    if "RAY_JOB_ID" in base:
        base = {name: value for name, value in base.items() if not _outer(name, value)}
    if stage.source:
        source = plan.sources[stage.source]
        try:
            path = import_path(source, checkout(source, folder.sources), folder.sources / f"guard-{stage.name}") + path
        except CheckoutError as problem:
            raise Problem(f"stage `{stage.name}`: {problem}", f"check `{source.git}` and `{source.ref}`") from None
    return {**base, "PYTHONPATH": os.pathsep.join(path)}


def _outer(name: str, value: str) -> bool:
    """Whether a Ray that this program is a job of (SkyPilot's) set it: a stage's own Ray, of another version, would
    read it; one thread for OpenMP is too few; and to see no devices is not what `""` means to all who read it."""
    unseen = "_VISIBLE_" in name and value == ""
    return unseen or name.startswith("RAY_") or name in ("OMP_NUM_THREADS", "PYTHONBREAKPOINT")
