"""The report and compare commands: one run as an HTML page, and two runs side by side."""

import time
from pathlib import Path

from launcher import __version__
from launcher.clouds.ledger import ledger
from launcher.commands.doctor import diagnosis
from launcher.commands.status import current
from launcher.report.facts import Facts, comparison, facts
from launcher.report.page import page
from launcher.runfolder.files import write_text
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.status import RunStatus
from launcher.transfer.store import Store, plan_of
from launcher.ui import console
from launcher.ui.console import columns

OWN = Path(__file__).parent.parent / "report"


def report(run: str | None, store: Store, out: Path | None) -> None:
    """Writes the page of the run and prints its path."""
    console.say(f"wrote {write_report(store.existing(run), store, out)}")


def write_report(folder: RunFolder, store: Store, out: Path | None = None, now: RunStatus | None = None) -> Path:
    """Writes the page to `out`, or to report.html beside the pulled export, and returns its path. `now` is the state of
    the run, if it is known."""
    path = out or store.results(folder.path.name).path / "report.html"
    style, script = ((OWN / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    write_text(path, page(_facts(folder, store, now), style, script, __version__).encode(errors="replace").decode())
    return path


def compare_runs(first: str, second: str, store: Store) -> None:
    """Prints what differs in two runs, and their results."""
    sides = [_facts(store.existing(name), store, None) for name in (first, second)]
    table = columns("", first, second)
    for title, rows in comparison(*sides):
        table.add_row("")
        table.add_row(title)
        for row in rows:
            table.add_row(f"  {row[0]}", *row[1:])
    console.draw(table)


def _facts(folder: RunFolder, store: Store, now: RunStatus | None) -> Facts:
    state = now or current(folder, store.site)
    return facts(plan_of(folder), folder, state, ledger(), time.time(), diagnosis(folder, state))
