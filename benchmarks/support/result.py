"""What a benchmark found, as JSON in benchmarks/results, and all of them as one page."""

import argparse
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

INTRODUCTION = """# Benchmarks

`make bench` measures all of this and writes this page; `python -m benchmarks NAME ...` measures some of it anew. Ours
and the peer run in turn, in one session of one machine: ratios count, seconds are this machine's. Numbers are
medians, with the least and the greatest in brackets where there was more than one round. The load is what the machine
had to do before the benchmark began and when it ended (`/proc/loadavg`, one minute): on 2 cores, more than 1 at the
beginning disturbs.
"""


@dataclass(frozen=True)
class Verdict:
    """A number beside its target, which it has to keep below; or above, where `least`."""

    what: str
    found: float
    target: float
    unit: str = ""
    least: bool = False

    @property
    def met(self) -> bool:
        return self.found >= self.target if self.least else self.found <= self.target

    @property
    def cells(self) -> list[str]:
        sign = "≥" if self.least else "≤"
        return [self.what, f"{self.found:.3g}{self.unit}", f"{sign} {self.target:g}{self.unit}", self.word]

    @property
    def word(self) -> str:
        return "met" if self.met else "**missed**"


@dataclass(frozen=True)
class Result:
    """One section of the page."""

    name: str
    """The module that measured it."""
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    verdicts: Sequence[Verdict] = ()
    notes: Sequence[str] = ()
    """Paragraphs below the table: how it was measured, and why a target was missed."""
    versions: Sequence[str] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """Filled by `conditions`."""


def parser(text: str | None) -> argparse.ArgumentParser:
    """Of a benchmark with this docstring."""
    made = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--scratch", type=Path, help="where files are made and removed again")
    made.add_argument("--result", type=Path, help="write what was found there, as JSON")
    return made


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def say(result: Result, before: str, to: Path | None) -> None:
    """The result is printed, and in the file; `before` is the load when it began."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    facts = {
        "when": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {system}",
        "load": f"{before} before, {load()} after",
        "versions": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in result.versions),
    }
    written = {**asdict(result), "facts": facts}
    if to:
        to.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(section(read(written)))


def read(value: dict) -> Result:
    """The result that was written as JSON."""
    return Result(**{**value, "verdicts": [Verdict(**one) for one in value["verdicts"]]})


def page(results: Iterable[Result]) -> str:
    """The document."""
    shown = list(results)
    cells = [[*one.cells, f"[{result.title}](#{anchor(result.title)})"] for result in shown for one in result.verdicts]
    summary = table(["", "measured", "target", "", "below"], cells)
    return "\n".join([INTRODUCTION, summary, *map(section, shown)])


def section(result: Result) -> str:
    """A result under its heading."""
    facts = [result.facts[name] for name in ("when", "machine", "versions") if result.facts.get(name)]
    said = f"`python -m benchmarks.{result.name}`; {'; '.join(facts)}; load {result.facts['load']}."
    verdicts = [
        f"{one.what}: {one.found:.3g}{one.unit}, target {one.target:g}{one.unit}: {one.word}."
        for one in result.verdicts
    ]
    parts = [f"## {result.title}", said, table(result.head, result.rows), "\n".join(verdicts), *result.notes]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of Markdown; the first column is words, the others are numbers."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def anchor(title: str) -> str:
    """What a heading's link is, as GitHub makes it."""
    return "".join(one for one in title.lower().replace(" ", "-") if one.isalnum() or one in "-_")
