"""How long does the workspace last that run folders go to? Clusters delete them, and nothing there is backed up."""

from launcher.backends.slurm import workspace
from launcher.backends.slurm.login import login_of
from launcher.config.slurm import SlurmSite
from launcher.errors import LaunchError
from launcher.preflight.finding import OK, WARNING, Finding


def check(site: SlurmSite) -> Finding:
    """A warning when the workspace of `work` ends soon, or is not there."""
    name = workspace.name_of(site.work or "")
    hint = "`launcher doctor --cloud slurm --extend 60` makes or extends it, for 60 days"
    try:
        listed = workspace.read(login_of(site).said(workspace.LIST))
    except LaunchError as problem:
        return Finding("workspace", WARNING, problem.error, problem.hint)
    found = next((one for one in listed if one.name == name), None)
    if found is None:
        return Finding("workspace", WARNING, f"the cluster lists no workspace `{name}`", hint)
    soon = found.hours < workspace.SOON
    return Finding("workspace", WARNING if soon else OK, found.says, hint if soon else "")
