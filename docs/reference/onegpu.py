"""The page of what fits on one GPU: every size, by the memory check itself."""

import os
from pathlib import Path

from page import Table, code, page

from launcher.config.job import read_job
from launcher.config.recipe import REHEARSAL, names
from launcher.config.site import SiteFile
from launcher.planning.request import Request, draft
from launcher.preflight.finding import Finding
from launcher.preflight.machine import TIGHT, Moment, kinds_of, moments
from launcher.preflight.machine import memory as check

ROOT = Path(__file__).parents[2]
CARDS = {"T4": 16, "RTX4090": 24, "A6000": 48, "H100-SXM": 80, "H200-SXM": 141}
"""GB of memory as they are sold."""
MIDDLE = "H100-SXM"


def text() -> str:
    """A row for each size that is for one machine."""
    os.chdir(ROOT)
    sizes = [
        name
        for name in names(ROOT)
        if not name.endswith(f"-{REHEARSAL}") and read_job(ROOT / "jobs" / f"{name}.yaml").nodes == 1
    ]
    headings = ["", *(f"{name}, {size} GB" for name, size in CARDS.items()), f"on {CARDS[MIDDLE]} GB with"]
    return page(
        "What fits on one GPU",
        "GB that the worst moment of a run needs, by the memory check: in brackets where they are not there, `tight` "
        f"from {TIGHT:.0%} of a card on. vLLM takes its share of a card whole: a run on a larger one needs more. "
        "The last column is the first change that makes room. What the numbers are worth: "
        "[before money is spent](../guides/checks.md).",
        Table(headings).of(_row(name) for name in sizes),
    )


def _row(name: str) -> list[str]:
    gpus = [f"{card}:1" for card in CARDS]
    made = draft(Request(name, "lambda", gpus=",".join(gpus)), ROOT, SiteFile())
    worst = moments(made.plan, made.recipe, kinds_of(gpus, 1), ROOT)
    assert not isinstance(worst, Finding), worst
    helps = check(made.plan, made.recipe, kinds_of([f"{MIDDLE}:1"], 1), ROOT).hint
    change, fits, _ = helps.partition("` makes it fit")
    return [code(name), *map(_cell, worst), f"{change}`" if fits else ""]


def _cell(one: Moment) -> str:
    needs = f"{one.bytes / 1e9:.0f}"
    return f"({needs})" if one.share > 1 else f"{needs}, tight" if one.share > TIGHT else needs
