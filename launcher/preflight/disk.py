"""Do the run's checkpoints fit on the disk they will be written to?"""

from collections.abc import Sequence

from launcher.format import size
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.runfolder.plan import Plan

GB = 10**9


def check(plan: Plan, free: int | None, untested: Sequence[str] = ()) -> Finding:
    """Refused when they do not; unknown where nobody has seen that a cloud gives a machine the disk of the job file.
    `free`: bytes free where a local run would write; None for a rented machine, whose disk the job file states.
    `untested`: the experimental clouds."""
    need = plan.disk_bytes
    have = free if free is not None else (plan.machine.disk_gb or 0) * GB
    if need == 0:
        return Finding("disk", OK, "disk use is negligible")
    if free is None and plan.machine.disk_gb is None:
        return Finding(
            "disk",
            WARNING,
            f"the run needs {size(need)} a node; the job file states no `disk_size`",
            "set `resources.disk_size` in the job file",
        )
    place = "here" if free is not None else "in the job file"
    if need > have:
        return Finding(
            "disk",
            REFUSED,
            f"the run needs {size(need)} a node for checkpoints, {size(have)} are {place}",
            "give more disk, or keep fewer checkpoints (`--set keep_last=1`)",
        )
    if untested:
        says = f"not checked: whether {' and '.join(untested)} gives a machine the {size(have)} of the job file"
        return Finding(
            "disk", UNKNOWN, f"{says}; the run needs {size(need)} a node", "watch the disk of the first hours"
        )
    return Finding("disk", OK, f"{size(need)} of {size(have)} {place}")
