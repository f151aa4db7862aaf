"""A launch as the user sees it: the plan, the checks, the progress, the pull, the end."""

import time
from pathlib import Path

from launcher import checks, screen
from launcher.errors import DONE, FAILED, LaunchError
from launcher.launch import Ready, exit_code, follow, ready, verification
from launcher.live import Bar, Live
from launcher.node.files import read_json
from launcher.node.folder import RunFolder
from launcher.node.records import Plan
from launcher.preflight.disk import shown as size
from launcher.preflight.finding import REFUSED, Finding
from launcher.request import Planned
from launcher.site import SiteFile
from launcher.status import RunStatus
from launcher.store import Store
from launcher.transfer import faults, pull, read_manifest
from launcher.where import backend_of

HASH_AT_ONCE = 1 << 30
"""An export up to this size is read whole when a finished run is launched again; a larger one is compared by sizes."""


def launch(planned: Planned, root: Path, site: SiteFile, redo: str | None) -> int:
    """Carries out the plan, or goes on with it, and brings the result home; the exit code."""
    plan, store, backend = planned.plan, Store(site), backend_of(planned.plan.machine.cloud, root, site)
    machine, back = store.machine(plan.run), store.home(plan.run)
    findings = _accepted(_look(planned, root, site)) if redo else []
    run = ready(plan, machine, redo, backend)
    for name in run.set_aside:
        screen.say(f"set aside {name}")
    if run.finished and (brought := read_json(back.manifest)) and brought == read_json(machine.manifest):
        return _already(run, back)
    if not run.finished:
        findings = findings or _look(planned, root, site)
        screen.plan(run.plan, findings)
        screen.say("")
        _accepted(findings)
        with Live() as live:
            end = follow(run, backend, live.show)
        screen.warnings(end)
        if code := exit_code(end):
            return _not_done(end, code)
        _times(end, run.plan)
    bring(machine, back)
    _result(run, back)
    return DONE


def _look(planned: Planned, root: Path, site: SiteFile) -> list[Finding]:
    return checks.thorough(planned, root, site)


def _accepted(findings: list[Finding]) -> list[Finding]:
    """The findings, if none of them refuses the plan; else LaunchError with the first that does."""
    if refused := next((one for one in findings if one.level == REFUSED), None):
        raise LaunchError(f"{refused.check}: {refused.says}", refused.hint)
    return findings


def bring(machine: RunFolder, back: RunFolder) -> None:
    """The run's export is at home and verified; what was moved is on the screen."""
    manifest = read_manifest(machine)
    back.path.mkdir(parents=True, exist_ok=True)
    total = sum(one["bytes"] for one in manifest["export"].values())
    with Bar("pull", total) as bar:
        pull(machine, back, bar.add)
    screen.say(f"pulled    {len(manifest['export'])} files, {size(total)}, every sha256 as in the manifest")


def verify(back: RunFolder) -> None:
    """Says that every byte at home is as exported. Raises LaunchError with exit code 3 when one is not."""
    _demand_whole(back, every_byte=True)
    screen.say(f"{back.export}: every file is as it was exported")


def _demand_whole(back: RunFolder, every_byte: bool) -> None:
    if found := faults(back, every_byte):
        raise LaunchError("; ".join(found), f"`launcher pull {back.path.name}` fetches what is damaged again", FAILED)


def _already(run: Ready, back: RunFolder) -> int:
    manifest = read_manifest(back)
    whole = sum(one["bytes"] for one in manifest["export"].values()) <= HASH_AT_ONCE
    _demand_whole(back, every_byte=whole)
    screen.say(f"run {run.plan.run} is finished: nothing to do. Its model is in {back.export}")
    if not whole:
        screen.say(f"sizes were compared; `launcher verify {run.plan.run}` reads every byte")
    return DONE


def _not_done(end: RunStatus, code: int) -> int:
    if end.error:
        screen.error(f"error: {end.error}\n\nhint: {end.hint}")
    else:
        screen.error("error: the run was interrupted\n\nhint: the same launch command carries on")
    return code


def _times(end: RunStatus, plan: Plan) -> None:
    now = time.time()
    for stage in end.stages:
        took = screen.duration(stage.seconds(now)) or "done before"
        steps = f", {stage.steps:,} steps" if plan.stage(stage.name).steps else ""
        attempt = f", attempt {stage.attempt}" if stage.attempt > 1 else ""
        screen.say(f"{stage.name:<12} {took}{steps}{attempt}")


def _result(run: Ready, back: RunFolder) -> None:
    checked = verification(run.folder, run.plan)
    if reply := checked.get("reply"):
        screen.say(f"reply     {str(checked.get('prompt'))!r} -> {str(reply)!r}")
    facts = " ".join(f"{name}={value}" for name, value in checked.items() if name not in ("prompt", "reply"))
    screen.say(f"checked   {facts}")
    screen.say(f"model     {back.export}\nmanifest  {back.manifest}\nrun       {run.folder.path}")
