"""The status, watch, logs and runs commands: where one run stands, what it writes, and which runs there are."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from launcher.backends.base import Backend, Work
from launcher.backends.lifecycle import exit_code
from launcher.backends.select import backend_of
from launcher.clouds.ledger import ledger
from launcher.config.site import SiteFile
from launcher.errors import LaunchError, check_known
from launcher.format import duration
from launcher.planning.code_version import find_root
from launcher.report.status_lines import run_facts
from launcher.runfolder.events import Tail
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus, status
from launcher.transfer.store import Store, plan_of
from launcher.ui import console
from launcher.ui.live import Live
from launcher.ui.run_page import page


def backend_of_run(folder: RunFolder, site: SiteFile) -> Backend:
    """The backend that the run was launched with."""
    return backend_of(plan_of(folder).machine.cloud, find_root(), site)


def current(folder: RunFolder, site: SiteFile) -> RunStatus:
    """Where the run stands now, after a refresh of its folder."""
    return _look(plan_of(folder), folder, site)[0]


def show_status(folder: RunFolder, site: SiteFile, as_json: bool) -> None:
    """Prints where the run stands, and why it waits if it waits."""
    now, work = _look(plan_of(folder), folder, site)
    if as_json:
        console.say(json.dumps(_plain(now), indent=2, ensure_ascii=False))
        return
    moment = time.time()
    console.draw(page(now, run_facts(plan_of(folder), folder, ledger(), moment), moment))
    _say_error(now)
    if work and (why := work.waits_for()):
        console.say(why)


def watch(folder: RunFolder, site: SiteFile) -> int:
    """Shows the run until it ends. Returns the run's exit code."""
    plan, tail = plan_of(folder), Tail(folder.events)
    _, work = _look(plan, folder, site)
    events: list[dict[str, Any]] = []
    with Live(plan, folder) as live:
        while True:
            # asked before the events are read: what it wrote until its end is among them
            running = work is not None and work.end() is None
            events += tail.new()
            now = status(plan, events, running)
            live.show(now)
            if now.state not in ("running", "planned"):
                break
            time.sleep(1)
    _say_error(now)
    return exit_code(now)


def print_log(folder: RunFolder, site: SiteFile, stage: str | None, follow: bool) -> None:
    """Prints the log of a stage. With `follow` it continues until the run ends, also with the logs of later stages."""
    names = [planned.name for planned in plan_of(folder).stages]
    if stage is not None:
        check_known(stage, names, f"the run has no stage `{stage}`")
    started = [name for name in names if folder.stage(name).log.exists()]
    if not started or (stage is not None and stage not in started):
        raise LaunchError(f"no log of `{stage or folder.path.name}` yet", "`launcher status` shows how far the run is")
    name, offset = stage or started[-1], 0
    backend = backend_of_run(folder, site) if follow else None
    while True:
        running = backend is not None and _runs(backend, folder)
        with open(folder.stage(name).log, "rb") as file:
            file.seek(offset)
            text = file.read()
        offset += len(text)
        console.say_raw(text.decode(errors="replace"))
        if not follow:
            return
        later = [name for name in names[names.index(name) + 1 :] if folder.stage(name).log.exists()]
        if not text and stage is None and later and folder.stage(name).done.exists():
            name, offset = later[0], 0
        elif not text and not running:
            return
        elif not text:
            time.sleep(0.3)


def list_all(store: Store) -> None:
    """Prints the runs here, and below them the machines that cost money."""
    list_runs(store)
    list_machines()


def list_runs(store: Store) -> None:
    """Prints a line for each run here, the newest first."""
    rows: list[Sequence[str]] = []
    for name in reversed(store.runs()):
        folder = store.folder(name)
        age = f"{duration(time.time() - folder.plan.stat().st_mtime)} ago"
        try:
            plan = plan_of(folder)
            now, _ = _look(plan, folder, store.site)
        except LaunchError:  # it does not hide the other runs; `status` says what is wrong
            rows.append((name, "", "damaged", "", "", age))
            continue
        stage = now.current
        step = f"{stage.step}/{stage.steps}" if stage and stage.steps else ""
        rows.append((name, plan.recipe, now.state, stage.name if stage else "", step, age))
    console.show_table(("run", "recipe", "state", "stage", "step", "age"), rows)


def list_machines() -> None:
    """Prints the machines that cost money, as the ledger, SkyPilot and the providers know them; nothing if there are
    none."""
    book, now = ledger(), time.time()
    if not book.alive():
        return
    from launcher.clouds.machines import alive

    rows: list[Sequence[str]] = []
    for entry, says in alive(book):
        cost = entry.cost(now)
        location = " ".join(filter(None, (entry.cloud or entry.clouds, entry.region)))
        price = f"{entry.price:.2f}" if entry.price is not None else "?"
        money = f"{cost:.2f}" if cost is not None else "?"
        age = duration(now - entry.asked)
        rows.append((entry.run, location, entry.machine or "", says, age, price, money))
    if rows:
        console.say("")
        console.show_table(("machine of", "where", "type", "state", "age", "$/h", "$ so far"), rows)


def _look(plan: Plan, folder: RunFolder, site: SiteFile) -> tuple[RunStatus, Work | None]:
    """Where the run stands now, and the node program that works on it."""
    backend = backend_of(plan.machine.cloud, find_root(), site)
    backend.refresh(folder)
    work = backend.find(folder)
    now = status(plan, Tail(folder.events).new(), work is not None)
    if now.state == "lost":  # it may have ended after the refresh
        backend.refresh(folder)
        now = status(plan, Tail(folder.events).new(), False)
    return now, work


def _runs(backend: Backend, folder: RunFolder) -> bool:
    """Whether a node program works on the run. What it wrote until this answer is in the run folder here."""
    backend.refresh(folder)
    running = backend.find(folder) is not None
    if not running:  # it may have ended after the refresh
        backend.refresh(folder)
    return running


def _say_error(now: RunStatus) -> None:
    if now.error:
        console.show_error(f"error: {now.error}\n\nhint: {now.full_hint}")


def _plain(now: RunStatus) -> dict[str, Any]:
    """What a program may rely on: of each stage the numbers of its last step, not those of all its steps."""
    value = asdict(now)
    for stage, own in zip(value["stages"], now.stages, strict=True):
        for name in ("marks", "history", "checkpoints", "moved"):
            del stage[name]
        stage |= {"safe_step": own.safe_step, "metrics": dict(own.metrics)}
    return value
