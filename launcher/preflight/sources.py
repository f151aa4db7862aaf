"""Can the node have the git commits that stages import? Every repository is asked for the ref that was locked."""

from launcher.config.pins import COMMIT
from launcher.errors import LaunchError
from launcher.planning.lock import git_commit, git_refs
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.runfolder.plan import Plan, Source


def check(plan: Plan, paid: bool) -> Finding:
    """A repository that cannot be read, or a ref that is gone, is refused where a machine is paid, and warned of
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
