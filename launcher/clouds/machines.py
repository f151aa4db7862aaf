"""The machines that cost money: what the ledger says, what SkyPilot and the provider say, and their end."""

from collections.abc import Iterable

from launcher.clouds import providers, skypilot
from launcher.clouds.ledger import Entry, Ledger
from launcher.errors import FAILED, LaunchError


def alive(book: Ledger) -> list[tuple[Entry, str]]:
    """What is, or may be, alive of all that the ledger holds, with what whoever was asked says of it. What has ended is
    noted; who does not answer counts as alive."""
    machines = []
    for entry in book.alive():
        try:
            if state := skypilot.state(entry.run, ask_provider=True):
                machines.append((entry, state.lower()))
            elif left := _there(entry):
                machines.append((entry, f"not known to SkyPilot; at the provider's: {_named(left)}"))
            else:
                book.close(entry, _not_listed(entry))
        except LaunchError as problem:
            machines.append((entry, problem.error))
    return machines


def gone(book: Ledger, entry: Entry, why: str) -> bool:
    """Whether the providers list no machine of this entry, of which SkyPilot knows nothing: then the ledger says so.
    Raises LaunchError when one of them does not answer."""
    if _there(entry):
        return False
    book.close(entry, why)
    return True


def down(book: Ledger, run: str, why: str) -> None:
    """No machine of the run is alive, by the provider's own word, and the ledger says so. Raises LaunchError when one
    may be."""
    entries = book.alive(run)
    skypilot.down(run)
    for entry in entries:
        for cloud, id in _there(entry):
            providers.end(cloud, id)
        if left := _there(entry):
            error, hint = f"{_named(left)} of run `{run}` does not end", f"end it in {left[0][0]}'s own console"
            raise LaunchError(error, hint, FAILED)
        book.close(entry, why)


def _there(entry: Entry) -> list[tuple[str, str]]:
    """(cloud, id) of the run's machines that providers list."""
    return [
        (cloud, id)
        for cloud in entry.clouds.split(",")
        if providers.provider(cloud)
        for id in providers.of_run(providers.account_machines(cloud), cloud, entry.run)
    ]


def _not_listed(entry: Entry) -> str:
    """Why an entry is closed of which SkyPilot knows nothing: who was asked, and did not list it."""
    asked = [row.title for cloud in entry.clouds.split(",") if (row := providers.provider(cloud))]
    return f"not listed by {' and '.join(['SkyPilot', *asked])}"


def _named(there: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{cloud} {id}" for cloud, id in there)
