"""Looking at runs: status, watch, logs, the list of all."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from launcher.backends.base import Work
from launcher.backends.lifecycle import exit_code
from launcher.backends.select import backend_of
from launcher.clouds.ledger import ledger
from launcher.config.site import SiteFile
from launcher.errors import LaunchError, did_you_mean
from launcher.planning.code_version import find_root
from launcher.report.outlook import outside
from launcher.runfolder.events import Tail
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus, status
from launcher.transfer.store import Store, plan_of
from launcher.ui import console
from launcher.ui.live import Live
from launcher.ui.run_page import page


def work_of(folder: RunFolder, site: SiteFile) -> Work | None:
    """The node program that works on the run, wherever it was launched."""
    return _work(plan_of(folder), folder, site)


def current(folder: RunFolder, site: SiteFile) -> RunStatus:
    """Where the run in `folder` stands now."""
    return _standing(plan_of(folder), folder, site)


def stop(folder: RunFolder, site: SiteFile) -> bool:
    """Asks the run to checkpoint and end; whether it has ended within the patience that its stages ask for."""
    work = work_of(folder, site)
    return work is None or work.stop(max(stage.grace for stage in plan_of(folder).stages) + 30)


def cancel(folders: Sequence[RunFolder], site: SiteFile) -> bool:
    """No job of these runs is left in a cluster's queue, and no secret in a folder there; whether a job was. Raises
    LaunchError when one may be left, after all others were cancelled."""
    found, left = False, list[LaunchError]()
    for folder in folders:
        try:
            if plan_of(folder).machine.cloud != "slurm":
                continue
            backend = backend_of("slurm", find_root(), site)
            there = backend.find(folder) is not None
            backend.down(folder, "ended by hand")
        except LaunchError as problem:
            left.append(problem)
            continue
        if there:
            console.say(f"{folder.path.name}: its jobs are cancelled")
            found = True
    if left:
        raise left[0]
    return found


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


def print_log(folder: RunFolder, site: SiteFile, stage: str | None, follow: bool) -> None:
    """The stage's log.txt; with `follow`, what is added to it until the run ends, and the logs of the next stages."""
    names = [one.name for one in plan_of(folder).stages]
    if stage is not None and stage not in names:
        raise LaunchError(f"the run has no stage `{stage}`", did_you_mean(stage, names))
    started = [name for name in names if folder.stage(name).log.exists()]
    if not started or (stage is not None and stage not in started):
        raise LaunchError(f"no log of `{stage or folder.path.name}` yet", "`launcher status` shows how far the run is")
    name, offset = stage or started[-1], 0
    while True:
        running = follow and work_of(folder, site) is not None  # asked first: what it wrote until then is read below
        with open(folder.stage(name).log, "rb") as file:
            file.seek(offset)
            text = file.read()
        offset += len(text)
        console.say_raw(text.decode(errors="replace"))
        if not follow:
            return
        later = [one for one in names[names.index(name) + 1 :] if folder.stage(one).log.exists()]
        if not text and stage is None and later and folder.stage(name).done.exists():
            name, offset = later[0], 0
        elif not text and not running:
            return
        elif not text:
            time.sleep(0.3)


def list_runs(store: Store) -> None:
    rows: list[Sequence[str]] = []
    for name in reversed(store.runs()):
        folder = store.machine(name)
        age = console.ago(folder.plan.stat().st_mtime)
        try:
            at = plan_of(folder)
            now = _standing(at, folder, store.site)
        except LaunchError:  # it does not hide the other runs; `status` says what is wrong
            rows.append((name, "", "damaged", "", "", age))
            continue
        stage = now.current
        step = f"{stage.step}/{stage.steps}" if stage and stage.steps else ""
        rows.append((name, at.recipe, now.state, stage.name if stage else "", step, age))
    console.runs(rows)


def _work(plan: Plan, folder: RunFolder, site: SiteFile) -> Work | None:
    return backend_of(plan.machine.cloud, find_root(), site).find(folder)


def _standing(plan: Plan, folder: RunFolder, site: SiteFile) -> RunStatus:
    running = _work(plan, folder, site) is not None
    return status(plan, Tail(folder.events).new(), running)


def _show(now: RunStatus, folder: RunFolder) -> None:
    moment = time.time()
    console.draw(page(now, outside(plan_of(folder), folder, ledger(), moment), moment))
    _say_error(now)


def _say_error(now: RunStatus) -> None:
    if now.error:
        console.error(f"error: {now.error}\n\nhint: {now.helps}")


def _plain(now: RunStatus) -> dict[str, Any]:
    """What a machine may rely on: the numbers of each stage's last step, and not those of all its steps."""
    value = asdict(now)
    for stage, own in zip(value["stages"], now.stages, strict=True):
        for name in ("marks", "history", "checkpoints", "moved"):
            del stage[name]
        stage |= {"safe_step": own.safe_step, "metrics": dict(own.metrics)}
    return value
