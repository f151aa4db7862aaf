"""Prints prepared sequences with their text, ids and masks: they show which tokens are learnt.

    python -m recipes.honest_persona.show DATA --model MODEL [--split val] [--row 0] [--count 3]

Colours: the chat is dim, the call and the intervention blue, what is learnt green, the rest of the end red. Without a
terminal, or with NO_COLOR set, brackets say the same: the chat, then <call>, {learnt}, (rest).
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from recipes.common.data.tokens import Tokens
from recipes.common.stage.command import Mistake, run
from recipes.common.stage.inputs import POSITIONAL, read_inputs
from recipes.honest_persona.dataset import SPLITS, Row, read_rows
from recipes.honest_persona.form import read_form
from recipes.honest_persona.tokenize import Coder

COLOURS = {"chat": "\033[2m", "call": "\033[34m", "learnt": "\033[32m", "rest": "\033[31m"}
BRACKETS = {"chat": "", "call": "<>", "learnt": "{}", "rest": "()"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    data: Annotated[Path, POSITIONAL]
    model: Path
    split: Annotated[str, {"choices": SPLITS}] = "train"
    row: int = 0
    count: int = 1


def main(argv: list[str] | None = None) -> None:
    """Prints the rows."""
    inputs = read_inputs(__doc__, Inputs, argv)
    coder = Coder(Tokens(inputs.model).tokenizer, read_form(inputs.data))
    rows = read_rows(inputs.data / f"{inputs.split}.parquet")
    if not 0 <= inputs.row < len(rows):
        raise Mistake(f"`--row` is `{inputs.row}`, and `{inputs.split}` has {len(rows):,} rows", "count from 0")
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for row in rows[inputs.row : inputs.row + inputs.count]:
        print(row_text(row, coder, colour))


def row_text(row: Row, coder: Coder, colour: bool) -> str:
    """The row's facts, text, and tokens with their masks."""
    end = row.prompt + row.learnt
    parts = {
        "chat": row.tokens[: row.persona],
        "call": row.tokens[row.persona : row.prompt],
        "learnt": row.tokens[row.prompt : end],
        "rest": row.tokens[end:],
    }
    text = "".join(_marked(name, coder.decode(tokens), colour) for name, tokens in parts.items() if tokens)
    ids = " ".join(_marked(name, " ".join(map(str, tokens)), colour) for name, tokens in parts.items() if tokens)
    masks = [
        f"{name:<5}{''.join(map(str, mask))}"
        for name, mask in (("loss", row.sequence.loss_mask), ("lora", row.sequence.lora_mask))
    ]
    facts = f"{row.id}  {row.topic}  expects {row.flag}  {len(row.tokens)} tokens, {row.learnt} learnt"
    return "\n".join([facts, text, ids, *masks])


def _marked(name: str, text: str, colour: bool) -> str:
    if colour:
        return f"{COLOURS[name]}{text}\033[0m"
    return f"{BRACKETS[name][:1]}{text}{BRACKETS[name][1:]}"


if __name__ == "__main__":
    run(main)
