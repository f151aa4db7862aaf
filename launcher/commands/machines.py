"""The down and stop commands: runs that are ended, and runs that are asked to end."""

import time

from launcher.clouds.ledger import Reason, ledger
from launcher.commands.status import backend_of_run
from launcher.config.site import SiteFile
from launcher.errors import LaunchError
from launcher.runfolder.paths import RunFolder
from launcher.transfer.store import Store, plan_of
from launcher.ui import console


def end(run: str | None, every: bool, store: Store) -> None:
    """Ends the run, or every run: terminates its machine, cancels its jobs, and says so. Raises LaunchError if
    something may be left, after it has ended all others."""
    names = [*store.runs()] if every else [store.existing(run).path.name]
    if every:  # also the machines of runs that were launched from another folder
        names += sorted({entry.run for entry in ledger().alive()} - {*names})
    ended, problems = False, list[LaunchError]()
    for name in names:
        try:
            ended |= _end(name, store)
        except LaunchError as problem:
            problems.append(problem)
    if problems:
        raise problems[0]
    if not ended:
        owner = "there is" if every else f"run {names[0]} has"
        console.say(f"{owner} no rented machine and no job: nothing to terminate")


def ask_to_stop(folder: RunFolder, site: SiteFile) -> None:
    """Asks the run to write a checkpoint and end. Says whether it has ended, and what still costs money."""
    backend = backend_of_run(folder, site)
    backend.refresh(folder)
    work = backend.find(folder)
    patience = max(stage.grace for stage in plan_of(folder).stages) + 30
    stopped = work is None or work.stop(patience)
    console.say(f"{folder.path.name}: {'stopped' if stopped else 'still stopping'}")
    say_billed(folder.path.name)


def say_billed(run: str) -> None:
    """Prints in red what each machine of the run has cost so far, if there is one."""
    for entry in ledger().alive(run):
        console.warn_of_cost(entry.bill(time.time()), entry.run)


def _end(name: str, store: Store) -> bool:
    """Ends a run. Returns whether it had a machine or a job. A machine in the ledger is terminated whatever happens to
    the run's backend. Raises LaunchError if something may be left."""
    book, folder = ledger(), store.folder(name)
    entries, ended, problem = book.alive(name), False, None
    try:
        ended = backend_of_run(folder, store.site).down(folder, Reason.BY_HAND)
    except LaunchError as error:
        problem = error if folder.plan.exists() else None  # a run of another folder has no plan here
    try:
        if book.alive(name):  # it was launched from another folder, or with another `--cloud`
            from launcher.clouds import machines

            machines.down(book, name, Reason.BY_HAND)
    except LaunchError as error:
        problem = error
    left = {entry.asked for entry in book.alive(name)}
    for entry in entries:
        if entry.asked not in left:
            cost = entry.cost(time.time())
            console.say(f"{name}: terminated" + (f"; it cost about ${cost:.2f}" if cost else ""))
    if problem:
        raise problem
    if ended and not entries:
        console.say(f"{name}: its jobs are cancelled")
    return ended or bool(entries)
