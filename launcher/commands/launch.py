"""The launch and rehearse commands: the plan, the checks, the progress, the pull, the end."""

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.backends.base import Backend
from launcher.backends.lifecycle import Ready, exit_code, follow, ready, verification
from launcher.backends.select import backend_of
from launcher.clouds.ledger import ledger
from launcher.commands.machines import say_billed
from launcher.commands.plan import planned_of
from launcher.commands.pull import bring, demand_whole
from launcher.commands.report import write_report
from launcher.config.secrets import values
from launcher.config.site import HERE, SiteFile
from launcher.errors import DONE, INTERRUPTED, OURS, LaunchError, sentence
from launcher.format import duration
from launcher.planning.changes import followers
from launcher.planning.code_version import find_root
from launcher.planning.request import Draft, Request, any_family, continuation, rehearsal_of
from launcher.preflight import runner
from launcher.preflight.finding import REFUSED, Finding
from launcher.runfolder.command_history import note
from launcher.runfolder.events import Tail
from launcher.runfolder.files import read_json
from launcher.runfolder.manifest import is_finished
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus, status
from launcher.transfer.bucket import Stored
from launcher.transfer.copy import alone, read_manifest
from launcher.transfer.store import Store, place_of, plan_of
from launcher.ui import console
from launcher.ui.live import Live

HASH_AT_ONCE = 1 << 30
"""An export up to this size is read whole when a finished run is launched again; a larger one is compared by sizes."""


@dataclass(frozen=True)
class LaunchOptions:
    """How a launch goes about it."""

    redo: str | None = None
    """A stage to do again, with what follows."""
    wait: float = 0.0
    """Hours to ask again where there is no capacity."""
    keep: bool = False
    """Whether a rented machine stays when the run has ended."""
    ask: bool = False
    """Whether the user is asked before a machine is rented."""
    words: Sequence[str] = ()
    """The command line, without its first word."""


def launch(request: Request, site: SiteFile, manner: LaunchOptions, resume: str | None = None) -> int:
    """Carries out the request, or goes on with the run `resume` as it is; the exit code."""
    try:
        made, root = _resumed(request, resume, site) if resume else planned_of(request, site)
        return carry_out(made, root, site, manner)
    except KeyboardInterrupt:
        return INTERRUPTED


def rehearse(request: Request, site: SiteFile, manner: LaunchOptions) -> int:
    """As `launch`, for the rehearsal of the request's recipe, or of the first there is."""
    root = find_root()
    return launch(rehearsal_of(replace(request, recipe=request.recipe or any_family(root)), root), site, manner)


def _resumed(request: Request, run: str, site: SiteFile) -> tuple[Draft, Path]:
    if request.recipe or request.run or request.data or request.changes:
        raise LaunchError("`--resume` continues a run as planned", "leave out the recipe, --run, --data and --set")
    folder, root = Store(site).existing(run), find_root()
    return continuation(plan_of(folder), folder, request, root, site), root


def carry_out(planned: Draft, root: Path, site: SiteFile, manner: LaunchOptions) -> int:
    """Carries out the plan, or goes on with it, and brings the result home; the exit code. However it ends, a machine
    that is still billed is said."""
    try:
        return _launch(planned, root, site, manner)
    except (LaunchError, OSError) as problem:  # said before what it may cost
        said = sentence(problem)
        console.error(str(said))
        return said.code
    finally:
        say_billed(planned.plan.run)


def _launch(planned: Draft, root: Path, site: SiteFile, manner: LaunchOptions) -> int:
    redo, store = manner.redo, Store(site)
    plan, backend = planned.plan, backend_of(planned.plan.machine.cloud, root, site, console.say, manner.wait)
    machine, back = store.machine(plan.run), store.home(plan.run)
    if redo and ledger().alive(plan.run):
        raise LaunchError(f"the machine of run `{plan.run}` still runs", f"`launcher down {plan.run}` first")
    fresh = not machine.plan.exists()
    findings = _look(planned, root, site) if redo or fresh else []
    if fresh:  # what is refused leaves nothing behind
        _show(plan, findings)
    _accepted(findings)
    with alone(machine.path):
        run = ready(plan, machine, redo, backend)
    for name in run.set_aside:
        console.say(f"renamed the old result to {name}")
    if redo and plan.bucket:  # or else the bucket would bring it back
        Stored(plan.bucket, plan.run, values(plan, site, os.environ)).forget(followers(plan, redo))
    if not run.finished and not run.set_aside and _fetched(run, backend):
        run = replace(run, finished=True)
    if run.finished and (brought := read_json(back.manifest)) and brought == read_json(machine.manifest):
        return _already(run, back)
    if not run.finished:
        if not fresh:
            findings = findings or _look(planned, root, site)
            _show(run.plan, findings)
            _accepted(findings)
        if (
            manner.ask
            and plan.machine.cloud not in HERE
            and not backend.find(machine)
            and not console.agreed("launch?")
        ):
            raise LaunchError("not launched: you did not say yes", "`--yes` launches without a question")
        note(run.folder, manner.words, time.time())
        with Live(run.plan, run.folder) as live:
            end = follow(run, backend, live.show)
        if console.piped():  # else the live page has them
            console.warnings(end)
        if code := exit_code(end):
            _reported(run, store, end)
            _not_done(end, machine)
            # a run that would not stop, or that we could not follow, is not cut off
            going = end.state == "running" or (code == OURS and backend.find(machine) is not None)
            if not manner.keep and not going:
                if problem := backend.unsaved(machine):
                    console.error(str(problem))
                else:
                    backend.down(machine, end.state)
            return code
        _times(end, run.plan)
    bring(run.plan, machine, back, backend)
    _result(run, back)
    _reported(run, store, None)
    if not manner.keep:
        backend.down(machine, "its result is home")
    return DONE


def _fetched(run: Ready, backend: Backend) -> bool:
    """Whether the result of a run that ended when nobody looked is in its folder here now."""
    if status(run.plan, Tail(run.folder.events).new(), False).state != "finished":
        return False
    try:
        backend.fetch(run.plan, run.folder)
    except LaunchError:  # it has to be made again, from what is here
        return False
    return is_finished(run.plan, run.folder)


def _look(planned: Draft, root: Path, site: SiteFile) -> list[Finding]:
    return runner.thorough(planned, root, site)


def _show(plan: Plan, findings: list[Finding]) -> None:
    console.plan(plan, findings)
    console.say("")


def _accepted(findings: list[Finding]) -> None:
    """Raises LaunchError with the first of the findings that refuses the plan."""
    if refused := next((one for one in findings if one.level == REFUSED), None):
        raise LaunchError(f"{refused.check}: {refused.says}", refused.hint)


def _already(run: Ready, back: RunFolder) -> int:
    manifest = read_manifest(back)
    whole = sum(one["bytes"] for one in manifest["export"].values()) <= HASH_AT_ONCE
    demand_whole(back, every_byte=whole)
    console.say(f"run {run.plan.run} is finished: nothing to do. Its model is in {back.export}")
    if not whole:
        console.say(f"only sizes were compared; `launcher verify {run.plan.run}` compares every byte")
    return DONE


def _not_done(end: RunStatus, machine: RunFolder) -> None:
    if end.error:
        # a rented machine speaks of its own files; what it said of them is here too
        console.error(f"error: {end.error}\n\nhint: {end.helps}".replace(place_of(end.run), str(machine.path)))
    else:
        console.error("error: the run was interrupted\n\nhint: the same launch command continues the run")


def _reported(run: Ready, store: Store, end: RunStatus | None) -> None:
    """The run's page is written, if there is room for it."""
    with contextlib.suppress(OSError):
        console.say(f"report    {write_report(run.folder, store, now=end)}")


def _times(end: RunStatus, plan: Plan) -> None:
    now = time.time()
    for stage in end.stages:
        took = duration(stage.seconds(now)) or "done before"
        steps = f", {stage.steps:,} steps" if plan.stage(stage.name).steps else ""
        attempt = f", attempt {stage.attempt}" if stage.attempt > 1 else ""
        console.say(f"{stage.name:<12} {took}{steps}{attempt}")


def _result(run: Ready, back: RunFolder) -> None:
    checked = verification(run.folder, run.plan)
    if reply := checked.get("reply"):
        console.say(f"reply     {str(checked.get('prompt'))!r} -> {str(reply)!r}")
    facts = " ".join(f"{name}={value}" for name, value in checked.items() if name not in ("prompt", "reply"))
    console.say(f"checked   {facts}")
    console.say(f"model     {back.export}\nmanifest  {back.manifest}\nrun       {run.folder.path}")
