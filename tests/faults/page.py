"""docs/reliability.md: which cells were run, and how that ended. The page is its own memory: what is not run again
stays as it was. Pure, but for `record`."""

import fcntl
import os
import platform
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cells import COLUMNS, PHASES, ROWS, Cell, cells, why_not

PASSED, FAILED, NOT_RUN = "passed", "**failed**", "not run"
HEAD = """\
# Reliability

A launch of the tests' own recipe (two trainings with checkpoints, then a conversion) is held at a point, something goes
wrong there, and the same command is typed again. A cell has passed when

- nothing that was complete was done again, and nothing incomplete was taken for complete;
- at most one save interval of steps was repeated (two where the newest checkpoint itself was damaged);
- no machine, job, container or process was left, and none was ever alive without being in the ledger;
- every launch ended with a sentence and a hint, or with the result;
- what came home is byte for byte what an undisturbed run brings home.

`make faults` runs all cells, three at a time, and writes this page: hours on two cores. `make faults CELLS=left` runs
those that have not passed yet; one column alone, here Slurm's:

    FAULTS=all RELIABILITY=$PWD/docs/reliability.md .venv/bin/python -m pytest tests/faults/test_slurm.py

CI runs some cells, by chance. Which step, which file and which byte of a phase is drawn from the seed, `FAULT_SEED`.
"""
COUNT = "| column | cells | passed | failed | not run |\n|---|---|---|---|---|\n"
RUNS = "| date (UTC) | column | cells | passed | minutes | seed | machine |\n|---|---|---|---|---|---|---|\n"


@dataclass
class Page:
    """What is known."""

    ends: dict[Cell, str] = field(default_factory=dict)
    runs: dict[tuple[str, str, str, str], tuple[int, int, float]] = field(default_factory=dict)
    """Date, column, seed and machine of a run -> its cells, those that passed, its minutes."""


def record(path: Path, cell: Cell, passed: bool, seconds: float, seed: int) -> None:
    """The page says how the cell ended; several runs may write it at once."""
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        page = read(file.read())
        page.ends[cell] = PASSED if passed else FAILED
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
        key = (time.strftime("%Y-%m-%d", time.gmtime()), cell.column, str(seed), machine)
        count, good, minutes = page.runs.get(key, (0, 0, 0.0))
        page.runs[key] = (count + 1, good + passed, minutes + seconds / 60)
        file.truncate(0)
        file.write(text(page))


def read(said: str) -> Page:
    """The page that `text` wrote; an empty one of an empty text."""
    page, column = Page(), ""
    for line in said.splitlines():
        if line.startswith("## "):
            column = line[3:]
        words = [cell.strip() for cell in line.strip("|").split("|")]
        if words[0] in ROWS and len(words) == len(PHASES) + 1:
            for phase, end in zip(PHASES, words[1:], strict=True):
                cell = Cell(words[0], column, phase)
                if end in (PASSED, FAILED) and why_not(cell) is None:
                    page.ends[cell] = end
        elif re.fullmatch(r"\d{4}-\d\d-\d\d", words[0]):
            date, at, count, good, minutes, seed, machine = words
            page.runs[date, at, seed, machine] = (int(count), int(good), float(minutes))
    return page


def text(page: Page) -> str:
    """The page as Markdown."""
    parts = [HEAD, COUNT + "".join(_counted(column, page) for column in COLUMNS)]
    runs = [
        f"| {date} | {at} | {count} | {good} | {minutes:.2f} | {seed} | {machine} |\n"
        for (date, at, seed, machine), (count, good, minutes) in sorted(page.runs.items())
    ]
    parts.append(
        "What was run when; a cell of an earlier run that was run again is counted in both:\n\n" + RUNS + "".join(runs)
    )
    parts.append("What goes wrong:\n\n" + "".join(f"- {row}: {what}\n" for row, what in ROWS.items()))
    return "\n".join([*parts, *(_section(column, page) for column in COLUMNS)])


def _counted(column: str, page: Page) -> str:
    ends = [page.ends.get(cell, NOT_RUN) for cell in cells(column)]
    return f"| {column} | {len(ends)} | {ends.count(PASSED)} | {ends.count(FAILED)} | {ends.count(NOT_RUN)} |\n"


def _section(column: str, page: Page) -> str:
    """A table of the column; what is no cell has a number, and below the table its reason."""
    reasons: list[str] = []
    lines = [f"| | {' | '.join(PHASES)} |\n", f"|---|{'---|' * len(PHASES)}\n"]
    for row in ROWS:
        words = []
        for phase in PHASES:
            cell = Cell(row, column, phase)
            reason = why_not(cell)
            if reason and reason not in reasons:
                reasons.append(reason)
            words.append(f"({reasons.index(reason) + 1})" if reason else page.ends.get(cell, NOT_RUN))
        lines.append(f"| {row} | {' | '.join(words)} |\n")
    below = "".join(f"{number}. {reason}\n" for number, reason in enumerate(reasons, 1))
    return f"## {column}\n\n{''.join(lines)}\nNo cells:\n\n{below}"
