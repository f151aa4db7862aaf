"""Renders a sample of the prompts with the writer's own chat template, and counts tokens, before anything is paid.

    python -m recipes.profile_dpo.preflight.template SETUP.json --generate GENERATE.json --model MODEL.json \\
        --papers FILE --examples FILE

Prints one line and exits 0, or says what is wrong and exits 2. What OpenAlex has is not asked for.
"""

import argparse
from pathlib import Path

from recipes.common.preflight.template import SAMPLE, demand, share, tokens_of
from recipes.common.stage.command import run
from recipes.common.stage.files import read_json
from recipes.common.stage.settings import read_settings
from recipes.profile_dpo.authors import Settings, check_address, read_examples, split, unit
from recipes.profile_dpo.papers import by_author, read
from recipes.profile_dpo.similarity import Nearest

MOST = 0.2
"""The share of prompts over `prompt_tokens` from which on the limit is taken for a slip."""


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.profile_dpo.preflight.template", description=__doc__.split("\n")[0]
    )
    parser.add_argument("settings", type=Path)
    for name in ("--generate", "--model", "--papers", "--examples"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    settings, limit = read_settings(args.settings, Settings), read_json(args.generate)["prompt_tokens"]
    papers, queries = read(args.papers)
    check_address(queries, settings.mailto)
    examples, found = read_examples(args.examples), by_author(papers, settings.papers)
    if queries:
        print(f"{sum(query.authors for query in queries):,} authors of OpenAlex, asked for as {settings.mailto}")
        return
    train, held = split(sorted(found), settings)
    says = f"{len(train):,} authors to learn from, {len(held):,} held out"
    if (tokens := tokens_of(args.model)) is None:
        print(f"{says}; the model and its chat template are made on the spot")
        return
    near = Nearest([" ".join(one["abstracts"]) for one in examples])
    prompts = [unit(one, found[one], examples, near, settings.examples)["prompt"] for one in train[:SAMPLE]]
    lengths = tokens.lengths([tokens.render(prompt) for prompt in prompts])
    demand(lengths, limit, "prompt_tokens", MOST)
    print(f"{says}; of {len(lengths)} prompts {share(lengths, limit):.1%} over prompt_tokens")


if __name__ == "__main__":
    run(main)
