"""Is every pin a commit, so that the run can be repeated?"""

from launcher.planning.plan import unlocked
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.runfolder.plan import Plan


def check(plan: Plan, paid: bool) -> Finding:
    """A revision that is not locked is refused where a machine is paid, and warned of elsewhere."""
    loose = unlocked(plan)
    if loose:
        return Finding(
            "pins",
            REFUSED if paid else WARNING,
            f"not locked to a commit: {', '.join(loose)}",
            f"run `launcher lock {plan.recipe}` and commit the lock file",
        )
    if plan.code.dirty:
        baked = plan.image is not None and not plan.image.overlay
        laid = ", and is laid over the image's" if plan.image and plan.image.overlay else ""
        return Finding(
            "pins",
            REFUSED if baked else WARNING,
            f"the code has changes that are not committed{laid}",
            "commit them, so that the run can be repeated" + ("; or launch with `--dirty`" if baked else ""),
        )
    count = len(plan.models) + len(plan.sources) + len(plan.inputs) + len(plan.packages)
    return Finding("pins", OK, f"{count} pins, code {plan.code.tree[:12]}")
