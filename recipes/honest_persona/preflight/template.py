"""Writes a sample of the reviews with the model's own chat template, before anything is paid.

    python -m recipes.honest_persona.preflight.template PREPARE_SETTINGS.json --model MODEL_SETTINGS.json --data FILE

Prints one line and exits 0, or says what is wrong and exits 2. The tokenizer comes from where the model stage would
take it.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from recipes.common.preflight.template import SAMPLE, demand, share, tokens_of
from recipes.common.stage.command import run
from recipes.common.stage.settings import read_settings
from recipes.honest_persona.data_report import Report
from recipes.honest_persona.encode import encode
from recipes.honest_persona.prepare import form_of
from recipes.honest_persona.selection import Settings, choose
from recipes.honest_persona.tokenize import Coder

MOST = 0.5
"""The share of reviews over `seq_len` from which on the limit is taken for a slip."""


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.honest_persona.preflight.template", description=__doc__.split("\n")[0]
    )
    parser.add_argument("settings", type=Path)
    for name in ("--model", "--data"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args(argv)
    settings, tokens = read_settings(given.settings, Settings), tokens_of(given.model)
    if tokens is None:
        print("the model and its chat template are made on the spot")
        return
    coder = Coder(tokens.tokenizer, form_of(settings, tokens.tokenizer, len(tokens.tokenizer)))
    samples = choose(settings, given.data, Report())["train"]
    some = samples[:: max(1, len(samples) // SAMPLE)]
    lengths = [
        len(row.tokens) for row in encode(some, coder, dataclasses.replace(settings, seq_len=sys.maxsize), Report())
    ]
    if not lengths:
        print("no review is left to train on: the prepare stage will say why")
        return
    demand(lengths, settings.seq_len, "seq_len", MOST)
    over = share(lengths, settings.seq_len)
    print(f"of {len(lengths)} reviews {over:.1%} over seq_len, longest {max(lengths):,} tokens")


if __name__ == "__main__":
    run(main)
