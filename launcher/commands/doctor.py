"""The doctor command: what is wrong with a run that ended without its result, or with this installation; and what
site.yaml could say about a Slurm cluster."""

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
from launcher.runfolder.command_history import last_launch
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.status import RunStatus
from launcher.transfer.store import Store, plan_of
from launcher.ui import console
from launcher.ui.console import label_table

ENDED = ("failed", "interrupted", "lost")
WIDTH = 8
"""Of the labels."""


def examine(run: str | None, store: Store) -> int:
    """Says why the run failed; without a name, why the newest run did if it did, and whether everything that a launch
    needs is here. The exit code is 2 when nothing could be launched."""
    if run is not None or store.runs():
        folder = store.existing(run)
        now = current(folder, store.site)
        found = diagnosis(folder, now)
        if found:
            _say(now, found)
        elif run:
            console.say(f"run {run} is {now.state}: it did not fail")
        if run:
            return DONE
        if found:
            console.say("")
    findings = check_installation(find_root(), store.site, os.environ)
    console.show_findings(findings)
    return MISTAKE if any(one.level == REFUSED for one in findings) else DONE


def examine_cluster(cloud: str, host: str | None, extend: int | None, site: SiteFile) -> None:
    """What site.yaml could say about the cluster is on the screen; or its workspace lasts `extend` days more."""
    if cloud != "slurm":
        raise LaunchError(f"`doctor --cloud {cloud}` does not exist", "`doctor --cloud` works only for slurm")
    cluster = site.slurm or SlurmSite()
    if host and host != cluster.host:
        cluster = SlurmSite(host=host, work=".")
    if extend:
        if not (cluster.work or "").startswith("ws:"):
            raise LaunchError("site.yaml: `slurm.work` does not name a workspace", "name one: `work: ws:launcher/runs`")
        name = workspace.name_of(cluster.work or "")
        console.say_raw(login_of(cluster).said(workspace.EXTEND, name, str(extend)))
        return
    console.say_raw(slurm_section(parse_cluster(login_of(cluster).said(ASK_CLUSTER)), cluster.host))


def diagnosis(folder: RunFolder, now: RunStatus) -> Diagnosis | None:
    """Why the run ended as it did; None of one that runs or is finished, and of one that has not begun unless it is
    known why."""
    if now.state not in (*ENDED, "planned"):
        return None
    stage = now.current.name if now.current else None
    found = diagnose(plan_of(folder), now, list(logs(folder, stage, ledger())), rules(), last_launch(folder))
    return found if found.known or now.state in ENDED else None


def _say(now: RunStatus, found: Diagnosis) -> None:
    at = now.current
    where = f" in {at.name}" if at and at.started else ""
    step = f", step {at.step:,} of {at.steps:,}" if at and at.steps else ""
    console.say(f"run {now.run}  {now.state}{where}{step}")
    console.draw(label_table(("cause", found.cause), width=WIDTH))
    if found.evidence:
        console.say(f"evidence  {_near(found.evidence)}")
    console.draw(label_table(("", found.evidence.text if found.evidence else ""), ("helps", found.help), width=WIDTH))
    console.say(f"next      {found.command}")
    for cause, line in found.also:
        console.say(f"also      {cause}: {_near(line)}")


def _near(line: Line) -> str:
    """The line's place, as seen from here."""
    here = Path.cwd()
    path = line.path.relative_to(here) if line.path.is_relative_to(here) else line.path
    return f"{path}:{line.number}" if line.number else str(path)
