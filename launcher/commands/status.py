"""The status and watch commands: where a run stands, once or until it ends."""

import json
import time
from dataclasses import asdict
from typing import Any

from launcher.backends.base import Work
from launcher.backends.lifecycle import exit_code
from launcher.backends.select import backend_of
from launcher.clouds.ledger import ledger
from launcher.config.site import SiteFile
from launcher.planning.code_version import find_root
from launcher.report.status_lines import run_facts
from launcher.runfolder.events import Tail
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus, status
from launcher.transfer.store import plan_of
from launcher.ui import console
from launcher.ui.live import Live
from launcher.ui.run_page import page


def work_of(folder: RunFolder, site: SiteFile) -> Work | None:
    """The node program that works on the run, wherever it was launched."""
    return _work(plan_of(folder), folder, site)


def current(folder: RunFolder, site: SiteFile) -> RunStatus:
    """Where the run in `folder` stands now."""
    return standing(plan_of(folder), folder, site)


def show_status(folder: RunFolder, site: SiteFile, as_json: bool) -> None:
    now = current(folder, site)
    if as_json:
        console.say(json.dumps(_plain(now), indent=2, ensure_ascii=False))
        return
    _show(now, folder)
    if plan_of(folder).machine.cloud == "slurm" and (why := getattr(work_of(folder, site), "note", str)()):
        console.say(why)


def watch(folder: RunFolder, site: SiteFile) -> int:
    """Shows the run until it ends; its exit code."""
    plan, work, tail = plan_of(folder), work_of(folder, site), Tail(folder.events)
    events: list[dict[str, Any]] = []
    with Live(plan, folder) as live:
        while True:
            running = work is not None and work.end() is None  # asked first: what it said until then is read below
            events += tail.new()
            now = status(plan, events, running)
            live.show(now)
            if now.state not in ("running", "planned"):
                break
            time.sleep(1)
    _say_error(now)
    return exit_code(now)


def _work(plan: Plan, folder: RunFolder, site: SiteFile) -> Work | None:
    return backend_of(plan.machine.cloud, find_root(), site).find(folder)


def standing(plan: Plan, folder: RunFolder, site: SiteFile) -> RunStatus:
    running = _work(plan, folder, site) is not None
    return status(plan, Tail(folder.events).new(), running)


def _show(now: RunStatus, folder: RunFolder) -> None:
    moment = time.time()
    console.draw(page(now, run_facts(plan_of(folder), folder, ledger(), moment), moment))
    _say_error(now)


def _say_error(now: RunStatus) -> None:
    if now.error:
        console.show_error(f"error: {now.error}\n\nhint: {now.full_hint}")


def _plain(now: RunStatus) -> dict[str, Any]:
    """What a machine may rely on: the numbers of each stage's last step, and not those of all its steps."""
    value = asdict(now)
    for stage, own in zip(value["stages"], now.stages, strict=True):
        for name in ("marks", "history", "checkpoints", "moved"):
            del stage[name]
        stage |= {"safe_step": own.safe_step, "metrics": dict(own.metrics)}
    return value
