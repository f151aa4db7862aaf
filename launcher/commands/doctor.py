"""The doctor command: why a run failed, what is wrong with this installation, and an entry for site.yaml about a Slurm
cluster."""

import os
from pathlib import Path

from launcher.backends.slurm import workspace
from launcher.backends.slurm.login import login_of
from launcher.clouds.ledger import ledger
from launcher.commands.status import current
from launcher.config.site import SiteFile
from launcher.config.slurm import SlurmSite
from launcher.diagnosis.diagnose import Diagnosis, diagnose
from launcher.diagnosis.evidence import Line, logs
from launcher.diagnosis.installation import ASK_CLUSTER, check_installation, parse_cluster, slurm_section
from launcher.diagnosis.rules import rules
from launcher.errors import DONE, MISTAKE, LaunchError
from launcher.planning.code_version import find_root
from launcher.preflight.finding import REFUSED
from launcher.preflight.slurm import workspace as workspace_check
from launcher.runfolder.command_history import last_launch
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.status import RunStatus
from launcher.transfer.store import Store, plan_of
from launcher.ui import console
from launcher.ui.console import label_table

ENDED = ("failed", "interrupted", "lost")
WIDTH = 8
"""Characters of a label."""


def examine(run: str | None, store: Store) -> int:
    """Prints why the run failed. Without a name it prints why the newest run failed, if it failed, and whether
    everything is here that a launch needs. The exit code is 2 if nothing could be launched."""
    if run is not None or store.runs():
        folder = store.existing(run)
        now = current(folder, store.site)
        cause = diagnosis(folder, now)
        if cause:
            _say(now, cause)
        elif run:
            console.say(f"run {run} is {now.state}: it did not fail")
        if run:
            return DONE
        if cause:
            console.say("")
    findings = check_installation(find_root(), store.site, os.environ)
    console.show_findings(findings)
    return MISTAKE if any(finding.level == REFUSED for finding in findings) else DONE


def examine_cluster(cloud: str, host: str | None, extend: int | None, site: SiteFile) -> None:
    """Prints an entry for site.yaml about the cluster; or makes its workspace last `extend` days more."""
    if cloud != "slurm":
        raise LaunchError(f"`doctor --cloud {cloud}` does not exist", "`doctor --cloud` works only for slurm")
    cluster = site.slurm or SlurmSite()
    if host and host != cluster.host:
        cluster = SlurmSite(host=host, work=".")
    if extend:
        if cluster.workspace is None:
            raise LaunchError("site.yaml: `slurm.work` does not name a workspace", "name one: `work: ws:launcher/runs`")
        console.say_raw(login_of(cluster).run(workspace.EXTEND, cluster.workspace, str(extend)))
        console.show_findings([workspace_check(cluster)])
        return
    console.say_raw(slurm_section(parse_cluster(login_of(cluster).run(ASK_CLUSTER)), cluster.host))


def diagnosis(folder: RunFolder, now: RunStatus) -> Diagnosis | None:
    """Why the run ended without its result; None if it runs or is finished, or if it has not begun and no rule says
    why."""
    if now.state not in (*ENDED, "planned"):
        return None
    stage = now.current.name if now.current else None
    result = diagnose(plan_of(folder), now, list(logs(folder, stage, ledger())), rules(), last_launch(folder))
    return result if result.known or now.state in ENDED else None


def _say(now: RunStatus, diagnosis: Diagnosis) -> None:
    stage = now.current
    name = f" in {stage.name}" if stage and stage.started else ""
    step = f", step {stage.step:,} of {stage.steps:,}" if stage and stage.steps else ""
    console.say(f"run {now.run}  {now.state}{name}{step}")
    console.draw(label_table(("cause", diagnosis.cause), width=WIDTH))
    if diagnosis.evidence:
        console.say(f"evidence  {_near(diagnosis.evidence)}")
    console.draw(
        label_table(("", diagnosis.evidence.text if diagnosis.evidence else ""), ("helps", diagnosis.help), width=WIDTH)
    )
    console.say(f"next      {diagnosis.command}")
    for cause, line in diagnosis.also:
        console.say(f"also      {cause}: {_near(line)}")


def _near(line: Line) -> str:
    """The path of the line relative to this folder, and its number."""
    here = Path.cwd()
    path = line.path.relative_to(here) if line.path.is_relative_to(here) else line.path
    return f"{path}:{line.number}" if line.number else str(path)
