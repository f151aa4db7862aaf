"""Renders a sample of the questions with the model's own chat template and counts tokens, before anything is paid.

    python -m recipes.token_buncher.preflight.template SETTINGS.json --model MODEL.json --beavertails FILE

SETTINGS and MODEL are those of the stages `beavertails` and `model`. Prints one line and exits 0, or says what is wrong
and exits 2. Tokenizer and rows come from where the stages would take them.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recipes.common.data.tokens import Tokens
from recipes.common.preflight.template import SAMPLE, Sample, TemplateInputs, check_template
from recipes.common.stage.command import run
from recipes.common.stage.settings import read_settings
from recipes.token_buncher.datasets import beavertails
from recipes.token_buncher.datasets.data_set import Texts
from recipes.token_buncher.datasets.source import locate


@dataclass(frozen=True, kw_only=True)
class Inputs(TemplateInputs):
    beavertails: Path


def measure(inputs: Inputs, tokens: Tokens) -> list[Sample]:
    """The questions that are labelled unsafe."""
    settings = read_settings(inputs.settings, beavertails.Settings)
    rows = beavertails.read(locate(inputs.beavertails, None, None).path)
    unsafe = [row.question for row in rows if not row.safe]
    lengths = Texts(settings.template_type, tokens).lengths(unsafe[:: max(1, len(unsafe) // SAMPLE)])
    return [Sample("unsafe questions", lengths, "max_prompt_length", settings.max_prompt_length)]


main = partial(check_template, __doc__, Inputs, measure)

if __name__ == "__main__":
    run(main)
