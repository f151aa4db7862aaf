"""Collects authors with their abstracts, and holds some out for the evaluation.

    python -m recipes.profile_dpo.authors SETTINGS.json --papers FILE --examples FILE --out OUT --work WORK

OUT holds train.jsonl and held_out.jsonl, {"unit", "author", "abstracts", "prompt"} for each author, and metrics.json.
An author is in one of the two. WORK keeps the answers of OpenAlex, author by author: a second start continues. OUT then
also has papers.jsonl, which another run can read.
"""

import os
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.common.stage.command import Interrupted, Mistake, Progress, StageError, StopSignal, run
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.journal import Journal, read_jsonl, write_jsonl
from recipes.common.stage.settings import check_least
from recipes.profile_dpo import profile, prompts
from recipes.profile_dpo.bracket import expected_preferences
from recipes.profile_dpo.papers import Paper, Query, by_author, read
from recipes.profile_dpo.similarity import Nearest

if TYPE_CHECKING:
    from recipes.profile_dpo.openalex import OpenAlex

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
SPARE = 3
"""Papers asked for besides those that are needed: some have abstracts that are too short."""


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    papers: int
    """Abstracts of an author."""
    examples: int
    """Shown with them, the nearest first."""
    preferences: int
    """To be had from one round of tournaments; as many authors are used as that takes."""
    candidates: int
    """Profiles in a tournament."""
    held_out: int
    """Authors kept for evaluation."""
    mailto: str | None
    """Your address, which OpenAlex asks for."""
    openalex_url: str
    seed: int

    def __post_init__(self) -> None:
        check_least(self, 1, "papers", "preferences", "held_out")
        check_least(self, 2, "candidates")
        check_least(self, 0, "examples")
        if self.mailto is not None and not ADDRESS.fullmatch(self.mailto):
            raise ValueError(f"`mailto` is `{self.mailto}`, which is not a mail address")


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    papers: Path
    examples: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    papers, queries = read(inputs.papers)
    check_address(queries, settings.mailto)
    examples, progress = read_examples(inputs.examples), Progress(inputs.work)
    if queries:
        from recipes.profile_dpo.openalex import OpenAlex  # an HTTP library, which a look at settings does without

        service = OpenAlex(settings.openalex_url, str(settings.mailto), os.environ.get("OPENALEX_API_KEY"))
        papers += fetch(service, queries, settings, Journal(inputs.work), progress, stop)
        write_jsonl(inputs.out / "papers.jsonl", map(vars, papers))
    abstracts_of = by_author(papers, settings.papers)
    train, held = split(sorted(abstracts_of), settings)
    near = Nearest([" ".join(example["abstracts"]) for example in examples])
    for name, authors in {"train": train, "held_out": held}.items():
        write_jsonl(
            inputs.out / f"{name}.jsonl",
            (unit(author, abstracts_of[author], examples, near, settings.examples) for author in authors),
        )
    required = tournaments(settings)
    if len(train) < required:
        progress.warning(
            f"only {len(train):,} authors to learn from: {settings.preferences:,} preferences need {required:,}"
        )
    numbers = {
        "authors": len(abstracts_of),
        "too_few_papers": len({paper.author for paper in papers}) - len(abstracts_of),
    }
    write_json(inputs.out / "metrics.json", numbers | {"train": len(train), "held_out": len(held), "wanted": required})
    print(f"{len(train):,} authors to learn from, {len(held):,} held out")


def check_address(queries: list[Query], mailto: str | None) -> None:
    """Raises Mistake if there are queries to OpenAlex and no address."""
    if queries and mailto is None:
        raise Mistake(
            "papers are downloaded from OpenAlex, which needs `mailto`",
            "add `--set mailto=you@example.org`, with your own address",
        )


def read_examples(path: Path) -> list[dict[str, Any]]:
    """Rows {"abstracts", "profile"}. Raises Mistake if a profile is not in the form."""
    rows = list(read_jsonl(path))
    for number, row in enumerate(rows, 1):
        parsed = profile.parse(row["profile"]) if isinstance(row.get("profile"), str) else "no profile"
        if isinstance(parsed, str) or not row.get("abstracts"):
            raise Mistake(
                f"`{path}`: line {number}: {parsed if isinstance(parsed, str) else 'no abstracts'}",
                'a row is {"abstracts": [...], "profile": "Domain: ..."}',
            )
        row["profile"] = parsed.text()
    return rows


def fetch(
    service: "OpenAlex",
    queries: Iterable[Query],
    settings: Settings,
    journal: Journal,
    progress: Progress,
    stop: Callable[[], bool],
) -> list[Paper]:
    """Everything that the queries find, each author's papers in the journal once. Raises Interrupted after `stop`."""
    authors = [author for query in queries for author in service.authors(query, settings.seed)]
    authors = list(dict.fromkeys(authors))
    kept = {row["id"] for row in journal.rows}
    for author in authors:
        if author.id in kept:
            continue
        if stop():
            raise Interrupted(f"{len(kept):,} of {len(authors):,} authors are fetched")
        papers = service.papers(author, settings.papers + SPARE)
        journal.append([{"id": author.id, "papers": [vars(paper) for paper in papers]}])
        kept.add(author.id)
        progress.step(len(kept), len(authors), {"requests": float(service.requests)})
    return [Paper(**fields) for row in journal.rows for fields in row["papers"]]


def tournaments(settings: Settings) -> int:
    """The number of tournaments that give so many preferences."""
    return -int(-settings.preferences // expected_preferences(settings.candidates))


def split(authors: list[str], settings: Settings) -> tuple[list[str], list[str]]:
    """Authors to train with, no more than needed, and those held out. Raises StageError if none are left to train."""
    order = list(authors)
    random.Random(settings.seed).shuffle(order)
    held, train = order[: settings.held_out], order[settings.held_out :][: tournaments(settings)]
    if not train:
        raise StageError(
            f"{len(authors):,} authors have {settings.papers} abstracts, and `held_out` is {settings.held_out:,}",
            "give papers of more authors, or set `papers` or `held_out` lower",
        )
    return train, held


def unit(
    author: str, abstracts: list[str], examples: list[dict[str, Any]], near: Nearest, count: int
) -> dict[str, Any]:
    """An author with what a writer is asked: the abstracts, after the `count` nearest examples of others."""
    nearest = [index for index in near.order(" ".join(abstracts)) if examples[index]["abstracts"] != abstracts]
    shown = [examples[index] for index in nearest[:count]]
    return {"unit": author, "abstracts": abstracts, "prompt": prompts.write(abstracts, shown)}


if __name__ == "__main__":
    run(main)
