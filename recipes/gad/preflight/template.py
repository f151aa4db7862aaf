"""Renders a sample of the rows with the student's own chat template, and counts their tokens, before anything is paid.

    python -m recipes.gad.preflight.template DATA_SETTINGS.json --model MODEL_SETTINGS.json --train FILE --val FILE

Prints one line and exits 0, or says what is wrong and exits 2. The tokenizer comes from where the model stage would
take it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recipes.common.data import rows
from recipes.common.data.tokens import Tokens
from recipes.common.preflight.template import SAMPLE, Sample, TemplateInputs, check_template
from recipes.common.stage.command import run
from recipes.common.stage.files import read_json
from recipes.gad.rows import Row, read


@dataclass(frozen=True, kw_only=True)
class Inputs(TemplateInputs):
    train: Path
    val: Path


def measure(inputs: Inputs, tokens: Tokens) -> Iterator[Sample]:
    """The prompts and the teacher's answers of both files; an answer has an end token."""
    settings = read_json(inputs.settings)
    for path in (inputs.train, inputs.val):
        good = [row for row in read(path, rows.spread(rows.count(path), SAMPLE, 0)) if isinstance(row, Row)]
        prompts = tokens.lengths([tokens.render(row.prompt) for row in good])
        answers = [length + 1 for length in tokens.lengths([row.teacher for row in good])]
        yield Sample(f"prompts in {path.name}", prompts, "max_prompt_length", settings["max_prompt_length"])
        yield Sample(f"answers in {path.name}", answers, "max_response_length", settings["max_response_length"])


main = partial(check_template, __doc__, Inputs, measure)

if __name__ == "__main__":
    run(main)
