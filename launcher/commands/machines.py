"""The down and stop commands: machines and jobs that are ended, and runs that are asked to end."""

import time
from collections.abc import Sequence

from launcher.backends.select import backend_of
from launcher.clouds.ledger import ledger
from launcher.commands.status import work_of
from launcher.config.site import SiteFile
from launcher.errors import LaunchError
from launcher.planning.code_version import find_root
from launcher.runfolder.paths import RunFolder
from launcher.transfer.store import Store, plan_of
from launcher.ui import console


def end(run: str | None, every: bool, store: Store) -> None:
    """The run's machine is gone and its jobs are cancelled, or those of every run; each is said."""
    folders = [store.folder(name) for name in store.runs()] if every else [store.existing(run)]
    ended = down(None if every else folders[0].path.name)
    if not (cancel(folders, store.site) or ended):
        owner = "there is" if every else f"run {folders[0].path.name} has"
        console.say(f"{owner} no rented machine and no job: nothing to terminate")


def ask_to_stop(folder: RunFolder, site: SiteFile) -> None:
    """The run is asked to write a checkpoint and end; whether it has ended is said, and what is still billed."""
    console.say(f"{folder.path.name}: {'stopped' if stop(folder, site) else 'still stopping'}")
    say_billed(folder.path.name)


def say_billed(run: str) -> None:
    """Whatever of the run is alive is on the screen, in red, with what it costs."""
    for entry in ledger().alive(run):
        console.warn_of_cost(entry.bill(time.time()), entry.run)


def down(run: str | None) -> bool:
    """The machine of the run, or every machine in the ledger, is gone, and what it cost is said; whether there was one.
    Raises LaunchError when one may be left, after all others were ended."""
    from launcher.clouds import machines

    book, left = ledger(), list[LaunchError]()
    entries = book.alive(run)
    for entry in entries:
        try:
            machines.down(book, entry.run, "ended by hand")
        except LaunchError as problem:
            left.append(problem)
            continue
        cost = entry.cost(time.time())
        console.say(f"{entry.run}: terminated" + (f"; it cost about ${cost:.2f}" if cost else ""))
    if left:
        raise left[0]
    return bool(entries)


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
