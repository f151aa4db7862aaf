"""Shows prepared sequences: their text, ids and masks, so that one can see what is learnt.

    python -m recipes.honest_persona.show DATA --model MODEL [--split val] [--row 0] [--count 3]

Colours: the chat is dim, the call and the intervention blue, what is learnt green, the rest of the end red. Without a
terminal, or with NO_COLOR set, brackets say the same: the chat, then <call>, {learnt}, (rest).
"""

import argparse
import os
import sys
from pathlib import Path

from recipes.common.data.tokens import Tokens
from recipes.common.stage.command import Mistake, run
from recipes.honest_persona.dataset import SPLITS, Row, read_rows
from recipes.honest_persona.form import read_form
from recipes.honest_persona.tokenize import Coder

COLOURS = {"chat": "\033[2m", "call": "\033[34m", "learnt": "\033[32m", "rest": "\033[31m"}
BRACKETS = {"chat": "", "call": "<>", "learnt": "{}", "rest": "()"}


def main(argv: list[str] | None = None) -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(prog="python -m recipes.honest_persona.show", description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--row", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    given = parser.parse_args(argv)
    coder = Coder(Tokens(given.model).tokenizer, read_form(given.data))
    rows = read_rows(given.data / f"{given.split}.parquet")
    if not 0 <= given.row < len(rows):
        raise Mistake(f"`--row` is `{given.row}`, and `{given.split}` has {len(rows):,} rows", "count from 0")
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for row in rows[given.row : given.row + given.count]:
        print(shown(row, coder, colour))


def shown(row: Row, coder: Coder, colour: bool) -> str:
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
