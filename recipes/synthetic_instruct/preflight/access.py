"""Asks the hub whether the user's token may read the models, before anything is paid.

    python -m recipes.synthetic_instruct.preflight.access SETTINGS.json [SETTINGS.json ...]

Each SETTINGS.json is a model stage's. Fetches no more than a repository's config.json.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from recipes.common.data import hub
from recipes.common.model.fetch import Source
from recipes.common.preflight.template import source_of
from recipes.common.stage.command import run
from recipes.common.stage.inputs import POSITIONAL, read_inputs


@dataclass(frozen=True, kw_only=True)
class Inputs:
    settings: Annotated[list[Path], POSITIONAL, {"nargs": "+"}]


def main(argv: list[str] | None = None) -> None:
    """Exits with 2 and an error message if HF_TOKEN may not read a repository, or the repository does not exist."""
    print(check_access(map(source_of, read_inputs(__doc__, Inputs, argv).settings)))


def check_access(sources: Iterable[Source]) -> str:
    """How many of the models are on the hub, in a sentence. Raises Mistake if one of these cannot be read."""
    on_hub = [source for source in dict.fromkeys(sources) if source.on_hub]
    with tempfile.TemporaryDirectory() as folder:
        for source in on_hub:
            hub.snapshot(source.repo, source.revision or "main", Path(folder), ("config.json",), ())
    return f"{len(on_hub)} models of the hub can be read" if on_hub else "no model of the hub is needed"


if __name__ == "__main__":
    run(main)
