"""When would the run start, and does the cluster take it at all? Slurm is asked, and nothing is submitted."""

import base64
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

from launcher.backends.slurm import batch_script
from launcher.backends.slurm.groups import Group, charge, job_groups
from launcher.backends.slurm.login import login_of
from launcher.backends.slurm.workspace import LIST, SOON, read
from launcher.config.slurm import SlurmSite
from launcher.errors import LaunchError
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.runfolder.plan import Plan

START = re.compile(r"to start at (\S+) using (\d+) processors on nodes (\S+)")


def queue(plan: Plan, site: SlurmSite) -> Finding:
    """When would the run start, and does the cluster take it at all? Slurm is asked, and nothing is submitted.

    Refused when sbatch refuses one of the jobs; unknown for a cluster that does not answer."""
    groups = job_groups(plan, site)
    try:
        said = login_of(site).run(question(plan, groups, site), timeout=60)
    except LaunchError as problem:
        return Finding("queue", UNKNOWN, problem.error, problem.hint)
    lines = said.splitlines()
    answers = [line for index, line in enumerate(lines) if index % 3 != 2]
    answer = finding([group.name for group in groups], "\n".join(answers))
    costs = [charge(text, group, plan.machine.nodes) for text, group in zip(lines[2::3], groups, strict=False)]
    return replace(answer, details=(*answer.details, *filter(None, costs)))


def question(plan: Plan, groups: Sequence[Group], site: SlurmSite) -> str:
    """A shell script that prints three lines for each job: what sbatch says, how many wait before it, and what its
    partition charges."""
    lines = []
    for group in groups:
        text = base64.b64encode(batch_script.script(plan, group, site, group.name).encode()).decode()
        which = f"PartitionName={group.needs.partition} " if group.needs.partition else "Default=YES"
        where = f"--partition={shlex.quote(group.needs.partition)}" if group.needs.partition else ""
        lines += [
            f"base64 --decode <<< {text} | sbatch --test-only 2>&1 | tail -n 1",
            f"squeue --noheader --states=PENDING {where} 2> /dev/null | wc -l",
            f'echo "$(scontrol show partition --oneliner 2> /dev/null | grep -m 1 -e {shlex.quote(which)} | '
            "grep -o 'TRESBillingWeights=[^ ]*')\"",
        ]
    return "\n".join(lines) + "\n"


def finding(names: Sequence[str], said: str) -> Finding:
    """`said` has two lines for each name."""
    lines = said.splitlines()
    details = []
    for name, answer, ahead in zip(names, lines[::2], lines[1::2], strict=False):
        start = START.search(answer)
        if not start:
            reason = answer.removeprefix("allocation failure: ").removeprefix("sbatch: error: ")
            return Finding("queue", REFUSED, f"`{name}`: {reason}", "correct `slurm:` in site.yaml")
        waiting = f"; jobs waiting there: {ahead.strip()}" if ahead.strip() != "0" else ""
        details.append(f"{name}: could start at {start[1]} on {start[3]}{waiting}")
    if len(details) < len(names):
        return Finding(
            "queue", WARNING, "the login node has no sbatch that answers", "log in and try `sbatch --version`"
        )
    return Finding("queue", OK, details[0], details=tuple(details[1:]))


def workspace(site: SlurmSite) -> Finding:
    """How long does the workspace last that run folders go to? Clusters delete them, and nothing there is backed up.

    A warning when the workspace of `work` ends soon, or is not there; unknown for a cluster that does not answer."""
    name = site.workspace
    hint = "`launcher doctor --cloud slurm --extend 60` makes or extends it, for 60 days"
    try:
        listed = read(login_of(site).run(LIST))
    except LaunchError as problem:
        return Finding("workspace", UNKNOWN, problem.error, problem.hint)
    match = next((workspace for workspace in listed if workspace.name == name), None)
    if match is None:
        return Finding("workspace", WARNING, f"the cluster lists no workspace `{name}`", hint)
    soon = match.hours < SOON
    return Finding("workspace", WARNING if soon else OK, match.says, hint if soon else "")
