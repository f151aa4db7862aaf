"""Writes a sample of the reviews with the model's own chat template, before anything is paid.

    python -m recipes.honest_persona.preflight.template PREPARE_SETTINGS.json --model MODEL_SETTINGS.json --data FILE

Prints one line and exits 0, or says what is wrong and exits 2. The tokenizer comes from where the model stage would
take it.
"""

import dataclasses
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recipes.common.data.tokens import Tokens
from recipes.common.preflight.template import SAMPLE, Sample, TemplateInputs, check_template
from recipes.common.stage.command import run
from recipes.common.stage.settings import read_settings
from recipes.honest_persona.data_report import Report
from recipes.honest_persona.encode import encode
from recipes.honest_persona.prepare import form_of
from recipes.honest_persona.selection import Settings, choose
from recipes.honest_persona.tokenize import Coder


@dataclass(frozen=True, kw_only=True)
class Inputs(TemplateInputs):
    data: Path


def measure(inputs: Inputs, tokens: Tokens) -> list[Sample]:
    """The reviews to train on, however long they are."""
    settings = read_settings(inputs.settings, Settings)
    coder = Coder(tokens.tokenizer, form_of(settings, tokens.tokenizer, len(tokens.tokenizer)))
    reviews = choose(settings, inputs.data, Report())["train"]
    some = reviews[:: max(1, len(reviews) // SAMPLE)]
    unlimited = dataclasses.replace(settings, seq_len=sys.maxsize)
    lengths = [len(row.tokens) for row in encode(some, coder, unlimited, Report())]
    return [Sample("reviews", lengths, "seq_len", settings.seq_len)]


main = partial(check_template, __doc__, Inputs, measure)

if __name__ == "__main__":
    run(main)
