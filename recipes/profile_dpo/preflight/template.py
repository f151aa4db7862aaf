"""Renders a sample of the prompts with the writer's own chat template, and counts tokens, before anything is paid.

    python -m recipes.profile_dpo.preflight.template SETUP.json --generate GENERATE.json --model MODEL.json \\
        --papers FILE --examples FILE

Prints one line and exits 0, or says what is wrong and exits 2. What OpenAlex has is not asked for.
"""

from dataclasses import dataclass
from pathlib import Path

from recipes.common.preflight.template import SAMPLE, TemplateInputs, demand, share, tokens_of
from recipes.common.stage.command import run
from recipes.common.stage.files import read_json
from recipes.common.stage.inputs import read_inputs
from recipes.common.stage.settings import read_settings
from recipes.profile_dpo.authors import Settings, check_address, read_examples, split, unit
from recipes.profile_dpo.papers import by_author, read
from recipes.profile_dpo.similarity import Nearest

MOST = 0.2
"""The share of prompts over `prompt_tokens` from which on the limit is taken for a slip."""


@dataclass(frozen=True, kw_only=True)
class Inputs(TemplateInputs):
    generate: Path
    papers: Path
    examples: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    inputs = read_inputs(__doc__, Inputs, argv)
    settings, limit = read_settings(inputs.settings, Settings), read_json(inputs.generate)["prompt_tokens"]
    papers, queries = read(inputs.papers)
    check_address(queries, settings.mailto)
    examples, abstracts_of = read_examples(inputs.examples), by_author(papers, settings.papers)
    if queries:
        print(f"{sum(query.authors for query in queries):,} authors from OpenAlex; `mailto` is {settings.mailto}")
        return
    train, held = split(sorted(abstracts_of), settings)
    summary = f"{len(train):,} authors to learn from, {len(held):,} held out"
    if (tokens := tokens_of(inputs.model)) is None:
        print(f"{summary}; the model and its chat template are made on the spot")
        return
    near = Nearest([" ".join(example["abstracts"]) for example in examples])
    prompts = [
        unit(author, abstracts_of[author], examples, near, settings.examples)["prompt"] for author in train[:SAMPLE]
    ]
    lengths = tokens.lengths([tokens.render(prompt) for prompt in prompts])
    demand(lengths, limit, "prompt_tokens", MOST)
    print(f"{summary}; of {len(lengths)} prompts {share(lengths, limit):.1%} over prompt_tokens")


if __name__ == "__main__":
    run(main)
