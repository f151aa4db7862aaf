"""Is every pin a commit, so that the run can be repeated?"""

from launcher.config.pins import COMMIT
from launcher.errors import LaunchError
from launcher.planning.lock import git_commit, git_refs
from launcher.planning.plan import unlocked
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.runfolder.plan import Plan, Source


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


def sources(plan: Plan, paid: bool) -> Finding:
    """Can the node have the git commits that stages import? Every repository is asked for the ref that was locked.

    A repository that cannot be read, or a ref that is gone, is refused where a machine is paid, and warned of
    elsewhere, where its checkout may be there already. A branch that went on is no fault: the commit is what counts."""
    said = []
    for pin in plan.sources.values():
        try:
            said.append(_stands(pin))
        except LaunchError as problem:
            return Finding("sources", REFUSED if paid else WARNING, problem.error, problem.hint)
    return Finding("sources", OK, "; ".join(said) or "no stage imports a git repository")


def _stands(pin: Source) -> str:
    name = f"{pin.git}@{pin.ref}"
    if COMMIT.fullmatch(pin.ref):
        git_refs(pin.git, ["HEAD"])
        return f"{pin.git} answers"
    newest = git_commit(pin.git, pin.ref)
    return name if newest == pin.commit else f"{name} is at {newest[:12]} now, the run takes {pin.commit[:12]}"
