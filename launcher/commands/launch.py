"""The launch and rehearse commands. A launch has five steps: check, prepare, follow, pull, release."""

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from launcher.backends.base import Backend
from launcher.backends.lifecycle import Run, exit_code, follow, prepare, verification
from launcher.backends.select import backend_of
from launcher.clouds.ledger import Reason, ledger
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
from launcher.runfolder.command_history import add_command
from launcher.runfolder.events import Tail
from launcher.runfolder.files import read_json
from launcher.runfolder.manifest import is_finished
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus, status
from launcher.transfer.bucket import BucketFolder
from launcher.transfer.copy import folder_lock
from launcher.transfer.store import Store, machine_path, plan_of
from launcher.transfer.verify import read_manifest
from launcher.ui import console
from launcher.ui.live import Live

HASH_AT_ONCE = 1 << 30
"""A larger export is compared by the sizes of its files when a finished run is launched again; a smaller one also by
their sha256."""


@dataclass(frozen=True)
class LaunchOptions:
    """The options of a launch that are no part of the plan."""

    redo: str | None = None
    """A stage to run again, with all later stages."""
    wait: float = 0.0
    """Hours to keep trying if no machine is free."""
    keep_machine: bool = False
    """Whether a rented machine stays when the run has ended."""
    ask: bool = False
    """Whether the user is asked before a machine is rented."""
    command_line: Sequence[str] = ()
    """The arguments of the program, for the history of the run."""


@dataclass(frozen=True)
class Launch:
    """What the steps of a launch share."""

    planned: Draft
    root: Path
    site: SiteFile
    options: LaunchOptions
    backend: Backend
    folder: RunFolder
    """The run folder in the store."""
    export_folder: RunFolder
    """The folder that gets the pulled export."""
    is_new: bool
    """Whether the run did not exist before this launch."""

    @property
    def plan(self) -> Plan:
        return self.planned.plan

    @cached_property
    def findings(self) -> list[Finding]:
        """What all checks say; they run when this is first read."""
        return runner.thorough(self.planned, self.root, self.site)


def launch(request: Request, site: SiteFile, options: LaunchOptions, resume: str | None = None) -> int:
    """Executes the request, or continues the run `resume` with its stored plan. Returns the exit code."""
    try:
        planned, root = _resumed(request, resume, site) if resume else planned_of(request, site)
        return carry_out(planned, root, site, options)
    except KeyboardInterrupt:
        return INTERRUPTED


def rehearse(request: Request, site: SiteFile, options: LaunchOptions) -> int:
    """As `launch`, for the rehearsal of the request's recipe, or of the first recipe."""
    root = find_root()
    return launch(rehearsal_of(replace(request, recipe=request.recipe or any_family(root)), root), site, options)


def carry_out(planned: Draft, root: Path, site: SiteFile, options: LaunchOptions) -> int:
    """Executes the plan, or continues its run, and pulls the export. Returns the exit code. At the end, whatever it is,
    the user is told which machine still costs money."""
    try:
        store, cloud = Store(site), planned.plan.machine.cloud
        folder, results = store.folder(planned.plan.run), store.results(planned.plan.run)
        backend = backend_of(cloud, root, site, console.say, options.wait)
        return _launch(Launch(planned, root, site, options, backend, folder, results, not folder.plan.exists()))
    except (LaunchError, OSError) as problem:  # printed before what it may cost
        error = sentence(problem)
        console.show_error(str(error))
        return error.code
    finally:
        say_billed(planned.plan.run)


def _resumed(request: Request, name: str, site: SiteFile) -> tuple[Draft, Path]:
    if request.recipe or request.run or request.data or request.changes:
        raise LaunchError("`--resume` continues a run as planned", "leave out the recipe, --run, --data and --set")
    folder, root = Store(site).existing(name), find_root()
    return continuation(plan_of(folder), folder, request, root, site), root


def _launch(launch: Launch) -> int:
    _check(launch)
    run = _prepare(launch)
    if run.finished and _is_pulled(launch):
        _say_finished(launch)
        return DONE
    if not run.finished:
        _confirm(launch, run)
        end = _follow(launch, run)
        if code := exit_code(end):
            _write_report(launch, end)
            _say_failed(end, launch.folder)
            _release_unfinished(launch, end)
            return code
        _say_times(end, run.plan)
    bring(run.plan, launch.folder, launch.export_folder, launch.backend)
    _say_result(launch, run)
    _write_report(launch)
    _release(launch, Reason.PULLED)
    return DONE


def _check(launch: Launch) -> None:
    """Checks a new run, or one whose results a redo would rename. What is refused leaves nothing behind."""
    run = launch.plan.run
    if launch.options.redo and ledger().alive(run):
        raise LaunchError(f"the machine of run `{run}` still runs", f"`launcher down {run}` first")
    if launch.is_new:
        _show(launch.plan, launch.findings)
    if launch.is_new or launch.options.redo:
        _demand_accepted(launch.findings)


def _prepare(launch: Launch) -> Run:
    """Prepares the run folder. A run that ended while nobody looked is fetched from its machine."""
    plan, redo = launch.plan, launch.options.redo
    with folder_lock(launch.folder.path):
        run = prepare(plan, launch.folder, redo, launch.backend)
    for name in run.old_results:
        console.say(f"renamed the old result to {name}")
    if redo and plan.bucket:  # otherwise the next machine would restore the old results from the bucket
        BucketFolder(plan.bucket, plan.run, values(plan, launch.site, os.environ)).forget(followers(plan, redo))
    if not run.finished and not run.old_results and _fetch_finished(run, launch.backend):
        return replace(run, finished=True)
    return run


def _fetch_finished(run: Run, backend: Backend) -> bool:
    """Fetches the export of a run that has finished. Returns whether the whole export is in the run folder now."""
    if status(run.plan, Tail(run.folder.events).new(), False).state != "finished":
        return False
    try:
        backend.fetch(run.plan, run.folder)
    except LaunchError:  # the run makes it again, from what is here
        return False
    return is_finished(run.plan, run.folder)


def _is_pulled(launch: Launch) -> bool:
    pulled = read_json(launch.export_folder.manifest)
    return bool(pulled) and pulled == read_json(launch.folder.manifest)


def _confirm(launch: Launch, run: Run) -> None:
    """Shows the checks of a run that continues, and asks the user before a machine is rented. Raises LaunchError."""
    if not launch.is_new:
        _show(run.plan, launch.findings)
        _demand_accepted(launch.findings)
    asks = launch.options.ask and launch.plan.machine.cloud not in HERE
    if asks and not launch.backend.find(launch.folder) and not console.confirm("launch?"):
        raise LaunchError("not launched: you did not say yes", "`--yes` launches without a question")


def _follow(launch: Launch, run: Run) -> RunStatus:
    """Follows the run on the screen until it ends."""
    add_command(run.folder, launch.options.command_line, time.time())
    with Live(run.plan, run.folder) as live:
        end = follow(run, launch.backend, live.show)
    if console.is_piped():  # otherwise the live page has shown them
        console.show_warnings(end)
    return end


def _release_unfinished(launch: Launch, end: RunStatus) -> None:
    """Releases the machine of a run that has failed or was interrupted, unless that would lose something."""
    if launch.options.keep_machine or _still_runs(launch, end):
        return
    if problem := launch.backend.save(launch.folder):
        console.show_error(str(problem))
    else:
        _release(launch, end.state)


def _still_runs(launch: Launch, end: RunStatus) -> bool:
    """Whether the run would not stop, or works on although this launch could not follow it."""
    if end.state == "running":
        return True
    if exit_code(end) != OURS:
        return False
    launch.backend.refresh(launch.folder)
    return launch.backend.find(launch.folder) is not None


def _release(launch: Launch, why: str) -> None:
    if not launch.options.keep_machine:
        launch.backend.down(launch.folder, why)


def _show(plan: Plan, findings: list[Finding]) -> None:
    console.show_plan(plan, findings)
    console.say("")


def _demand_accepted(findings: list[Finding]) -> None:
    """Raises LaunchError with the first finding that refuses the plan."""
    if refused := next((finding for finding in findings if finding.level == REFUSED), None):
        raise LaunchError(f"{refused.check}: {refused.says}", refused.hint)


def _say_finished(launch: Launch) -> None:
    run, folder = launch.plan.run, launch.export_folder
    size = sum(file["bytes"] for file in read_manifest(folder)["export"].values())
    demand_whole(folder, every_byte=size <= HASH_AT_ONCE)
    console.say(f"run {run} is finished: nothing to do. Its model is in {folder.export}")
    if size > HASH_AT_ONCE:
        console.say(f"only sizes were compared; `launcher verify {run}` compares every byte")


def _say_failed(end: RunStatus, folder: RunFolder) -> None:
    if end.error:
        # the machine names its own files; the same files are also in the run folder here
        text = f"error: {end.error}\n\nhint: {end.full_hint}"
        console.show_error(text.replace(machine_path(end.run), str(folder.path)))
    else:
        console.show_error("error: the run was interrupted\n\nhint: the same launch command continues the run")


def _write_report(launch: Launch, end: RunStatus | None = None) -> None:
    """Writes the page of the run. A launch does not fail because of it."""
    with contextlib.suppress(OSError):  # the disk is full
        console.say(f"report    {write_report(launch.folder, Store(launch.site), now=end)}")


def _say_times(end: RunStatus, plan: Plan) -> None:
    now = time.time()
    for stage in end.stages:
        took = duration(stage.seconds(now)) or "done before"
        steps = f", {stage.steps:,} steps" if plan.stage(stage.name).steps else ""
        attempt = f", attempt {stage.attempt}" if stage.attempt > 1 else ""
        console.say(f"{stage.name:<12} {took}{steps}{attempt}")


def _say_result(launch: Launch, run: Run) -> None:
    metrics = verification(run.folder, run.plan)
    if reply := metrics.get("reply"):
        console.say(f"reply     {str(metrics.get('prompt'))!r} -> {str(reply)!r}")
    facts = " ".join(f"{name}={value}" for name, value in metrics.items() if name not in ("prompt", "reply"))
    folder = launch.export_folder
    console.say(f"checked   {facts}")
    console.say(f"model     {folder.export}\nmanifest  {folder.manifest}\nrun       {run.folder.path}")
