"""The result of a benchmark, as JSON in benchmarks/results; and all results as one page."""

import argparse
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

INTRODUCTION = """# Benchmarks

`make bench` measures everything on this page and writes the page. `python -m benchmarks NAME ...` measures a part of it
again. Our program and the other one run alternately, on one machine. Compare the ratios: the seconds are those of this
machine. Numbers are medians; the smallest and the largest are in brackets if there was more than one round. The load
(`/proc/loadavg`, one minute) is given before the benchmark and after it. On 2 cores, a load of more than 1 before the
benchmark disturbs the measurement.
"""


@dataclass(frozen=True)
class Verdict:
    """A number and its target: the most that it may be, or with `least` the least."""

    what: str
    value: float
    target: float
    unit: str = ""
    least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.least else self.value <= self.target

    @property
    def cells(self) -> list[str]:
        sign = "≥" if self.least else "≤"
        return [self.what, f"{self.value:.3g}{self.unit}", f"{sign} {self.target:g}{self.unit}", self.outcome]

    @property
    def line(self) -> str:
        return f"{self.what}: {self.value:.3g}{self.unit}, target {self.target:g}{self.unit}: {self.outcome}."

    @property
    def outcome(self) -> str:
        return "met" if self.met else "**missed**"


@dataclass(frozen=True)
class Result:
    """One section of the page."""

    name: str
    """The module that measured it, without `bench_`."""
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    verdicts: Sequence[Verdict] = ()
    notes: Sequence[str] = ()
    """Paragraphs below the table: how it was measured, and why a target was missed."""
    versions: Sequence[str] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """When and where it was measured. Filled by `report`."""


def parser(text: str | None) -> argparse.ArgumentParser:
    """The parser of a benchmark with this docstring."""
    options = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--scratch", type=Path, help="where files are made and removed again")
    options.add_argument("--result", type=Path, help="write the result there, as JSON")
    return options


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def report(result: Result, before: str, to: Path | None) -> None:
    """Prints the result, and writes it to the file. `before`: the load when the benchmark began."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    facts = {
        "when": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {system}",
        "load": f"{before} before, {load()} after",
        "versions": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in result.versions),
    }
    value = {**asdict(result), "facts": facts}
    if to:
        to.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(section(read(value)))


def read(value: dict) -> Result:
    """The result that was written as JSON."""
    return Result(**{**value, "verdicts": [Verdict(**verdict) for verdict in value["verdicts"]]})


def page(results: Iterable[Result]) -> str:
    """The document."""
    shown = list(results)
    cells = [
        [*verdict.cells, f"[{result.title}](#{anchor(result.title)})"]
        for result in shown
        for verdict in result.verdicts
    ]
    summary = table(["", "measured", "target", "", "below"], cells)
    return "\n".join([INTRODUCTION, summary, *map(section, shown)])


def section(result: Result) -> str:
    """A result under its heading."""
    facts = [result.facts[name] for name in ("when", "machine", "versions") if result.facts.get(name)]
    conditions = f"`python -m benchmarks.bench_{result.name}`; {'; '.join(facts)}; load {result.facts['load']}."
    verdicts = [verdict.line for verdict in result.verdicts]
    parts = [f"## {result.title}", conditions, table(result.head, result.rows), "\n".join(verdicts), *result.notes]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table. Its first column is text, the others are numbers."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def anchor(title: str) -> str:
    """What a heading's link is, as GitHub makes it."""
    return re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))
