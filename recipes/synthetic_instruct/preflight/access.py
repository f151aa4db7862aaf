"""May the user's token read the models? Asked of the hub before anything is paid.

    python -m recipes.synthetic_instruct.preflight.access SETTINGS.json [SETTINGS.json ...]

Each SETTINGS.json is a model stage's. Fetches no more than a repository's config.json.
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

from recipes.common.data import hub
from recipes.common.model.fetch import Source
from recipes.common.stage.command import run
from recipes.common.stage.files import read_json


def main(argv: list[str] | None = None) -> None:
    """Exits with 2 and a sentence when one of the repositories is closed to HF_TOKEN, or is not there."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.synthetic_instruct.preflight.access", description=__doc__.split("\n")[0]
    )
    parser.add_argument("sources", type=source_of, nargs="+")
    print(readable(parser.parse_args(argv).sources))


def source_of(settings: str) -> Source:
    """The model that a model stage's settings, a file, name."""
    given = read_json(Path(settings))
    return Source(given["repo"], given.get("revision"))


def readable(sources: Iterable[Source]) -> str:
    """How many of them are the hub's, in a sentence; a Mistake when one of these cannot be read."""
    asked = [source for source in dict.fromkeys(sources) if source.on_hub]
    with tempfile.TemporaryDirectory() as folder:
        for source in asked:
            hub.snapshot(source.repo, source.revision or "main", Path(folder), ("config.json",), ())
    return f"{len(asked)} models of the hub can be read" if asked else "no model of the hub is needed"


if __name__ == "__main__":
    run(main)
