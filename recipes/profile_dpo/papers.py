"""The user's file: papers with their abstracts, or where OpenAlex is to look for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.data import rows
from recipes.common.data.rows import BadRow
from recipes.common.stage.command import Mistake

ABSTRACT = 2000
"""Characters of an abstract that are shown to a model: four of them and an example leave room in 4,096 tokens."""
SHORTEST = 100
"""Characters below which an abstract is a remark."""


@dataclass(frozen=True)
class Paper:
    author: str
    title: str
    abstract: str


@dataclass(frozen=True)
class Query:
    """Of OpenAlex: `authors` at random among those that its filter lets through."""

    filter: str
    authors: int


def read(path: Path) -> tuple[list[Paper], list[Query]]:
    """What the rows say: {"author", "title", "abstract"} or {"openalex": FILTER, "authors": NUMBER}. A Mistake names
    the first row that is neither."""
    papers, queries = [], []
    for location, _, value in rows.read(path):
        try:
            if isinstance(value, BadRow):
                raise value
            if "openalex" in value:
                queries.append(_query(value))
            else:
                papers.append(
                    Paper(*(rows.require_text(name, value.get(name)) for name in ("author", "title", "abstract")))
                )
        except BadRow as bad:
            column = f"`{bad.column}` " if bad.column else ""
            hint = 'a row is {"author", "title", "abstract"}, or {"openalex": FILTER, "authors": NUMBER}'
            raise Mistake(f"`{path}`: {location}: {column}{bad.text}", hint) from None
    if not papers and not queries:
        raise Mistake(f"`{path}` has no rows", "give papers with their abstracts")
    return papers, queries


def by_author(papers: Iterable[Paper], each: int) -> dict[str, list[str]]:
    """Author -> the first `each` abstracts, in the order of the rows; only authors who have so many."""
    abstracts: dict[str, list[str]] = {}
    for paper in papers:
        text = " ".join(paper.abstract.split())
        texts = abstracts.setdefault(paper.author, [])
        if len(text) >= SHORTEST and text[:ABSTRACT] not in texts:
            texts.append(text[:ABSTRACT])
    return {author: texts[:each] for author, texts in abstracts.items() if len(texts) >= each}


def _query(value: dict[str, Any]) -> Query:
    authors = value.get("authors")
    if type(authors) is not int or authors < 1:
        raise BadRow("authors", f"`{rows.preview(authors)}` is not a whole number from 1 on")
    return Query(rows.require_text("openalex", value["openalex"]), authors)
