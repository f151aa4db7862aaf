"""Where a data set's rows are: in a file, or in a file of the hub at a commit, which a file of one row names."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

from recipes.common.data import hub, rows
from recipes.common.stage.command import Mistake

HUB = Path(__file__).parents[1] / "hub"
"""A file for each input: the data set the paper used, at a commit."""

KEYS = {"repo", "revision", "file"}


@dataclass(frozen=True)
class Source:
    """A file with rows, and what a report calls it."""

    path: Path
    name: str


def locate(path: Path, revision: str | None, cache: Path | None) -> Source:
    """The rows that `path` holds or points at; `revision` replaces the commit that it names. May download."""
    pointer = read_pointer(path)
    if pointer is None:
        if revision:
            raise Mistake(
                f"`{path}` holds rows and has no revision `{revision}`",
                "leave `--revision` out, or name a file of `recipes/token_buncher/hub`",
            )
        return Source(path, path.name)
    repo, commit, file = pointer["repo"], revision or pointer["revision"], pointer["file"]
    return Source(hub.dataset_file(repo, commit, file, cache), f"{repo}@{commit}:{file}")


def read_pointer(path: Path) -> dict[str, str] | None:
    """The hub's repository, revision and file that `path` names; None where it holds rows itself."""
    if rows.is_parquet(path):
        return None
    first = [record.value for record in itertools.islice(rows.read(path), 2)]
    if len(first) != 1 or not isinstance(first[0], dict) or first[0].keys() != KEYS:
        return None
    if not all(isinstance(value, str) for value in first[0].values()):
        raise Mistake(
            f"`{path}`: `{json.dumps(first[0])}` does not name a file of the hub", "give its three values as texts"
        )
    return first[0]
