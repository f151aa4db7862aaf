"""The runs command: the runs here, and the machines that are billed."""

import time
from collections.abc import Sequence

from launcher.clouds.ledger import ledger
from launcher.commands.status import standing
from launcher.errors import LaunchError
from launcher.format import duration
from launcher.transfer.store import Store, plan_of
from launcher.ui import console


def list_all(store: Store) -> None:
    """The runs here are on the screen, and below them the machines that are billed."""
    list_runs(store)
    list_machines()


def list_runs(store: Store) -> None:
    rows: list[Sequence[str]] = []
    for name in reversed(store.runs()):
        folder = store.folder(name)
        age = console.ago(folder.plan.stat().st_mtime)
        try:
            at = plan_of(folder)
            now = standing(at, folder, store.site)
        except LaunchError:  # it does not hide the other runs; `status` says what is wrong
            rows.append((name, "", "damaged", "", "", age))
            continue
        stage = now.current
        step = f"{stage.step}/{stage.steps}" if stage and stage.steps else ""
        rows.append((name, at.recipe, now.state, stage.name if stage else "", step, age))
    console.show_runs(rows)


def list_machines() -> None:
    """The machines that are billed, by what the ledger, SkyPilot and the providers say; nothing when there is none."""
    book, now = ledger(), time.time()
    if not book.alive():
        return
    from launcher.clouds.machines import alive

    rows: list[Sequence[str]] = []
    for one in alive(book):
        entry, cost = one.entry, one.entry.cost(now)
        where = " ".join(filter(None, (entry.cloud or entry.clouds, entry.region)))
        price = f"{entry.price:.2f}" if entry.price is not None else "?"
        money = f"{cost:.2f}" if cost is not None else "?"
        age = duration(now - entry.asked)
        rows.append((entry.run, where, entry.machine or "", one.says, age, price, money))
    if rows:
        console.say("")
        console.show_machines(rows)
