"""The machines that are billed, as the user sees them."""

import time
from collections.abc import Sequence

from launcher.clouds.ledger import ledger
from launcher.errors import LaunchError
from launcher.format import duration
from launcher.ui import console


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
        console.machines(rows)


def say_billed(run: str) -> None:
    """Whatever of the run is alive is on the screen, in red, with what it costs."""
    for entry in ledger().alive(run):
        console.billed(entry.bill(time.time()), entry.run)


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
        console.say(f"{entry.run}: ended" + (f", it has cost about ${cost:.2f}" if cost else ""))
    if left:
        raise left[0]
    return bool(entries)
