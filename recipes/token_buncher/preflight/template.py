"""Renders a sample of the questions with the model's own chat template and counts tokens, before anything is paid.

    python -m recipes.token_buncher.preflight.template SETTINGS.json --model MODEL.json --beavertails FILE

SETTINGS and MODEL are those of the stages `beavertails` and `model`. Prints one line and exits 0, or says what is wrong
and exits 2. Tokenizer and rows come from where the stages would take them.
"""

import argparse
from pathlib import Path

from recipes.common.preflight.template import SAMPLE, demand, share, tokens_of
from recipes.common.stage.command import run
from recipes.common.stage.settings import read_settings
from recipes.token_buncher.datasets import beavertails
from recipes.token_buncher.datasets.prepared import Texts
from recipes.token_buncher.datasets.source import locate

MOST = 0.5
"""The share of questions over `max_prompt_length` from which on the limit is taken for a slip."""


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.token_buncher.preflight.template", description=__doc__.split("\n")[0]
    )
    parser.add_argument("settings", type=Path)
    for name in ("--model", "--beavertails"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args(argv)
    settings, tokens = read_settings(given.settings, beavertails.Settings), tokens_of(given.model)
    if tokens is None:
        print("the model and its chat template are made on the spot")
        return
    rows = beavertails.read(locate(given.beavertails, None, None).path)
    unsafe = [row.question for row in rows if not row.safe]
    lengths = Texts(settings.template_type, tokens).lengths(unsafe[:: max(1, len(unsafe) // SAMPLE)])
    if not lengths:
        print(f"of {len(rows):,} rows none is labelled unsafe: the stage beavertails will say so")
        return
    demand(lengths, settings.max_prompt_length, "max_prompt_length", MOST)
    over = share(lengths, settings.max_prompt_length)
    print(f"of {len(lengths)} unsafe questions {over:.1%} over max_prompt_length, longest {max(lengths):,} tokens")


if __name__ == "__main__":
    run(main)
