"""Counts the tokens of the trainings' chats with the base's own tokenizer, and asks whether the models may be read,
before anything is paid.

    python -m recipes.synthetic_instruct.preflight.template GENERATOR.json BASE.json JUDGE.json \\
        --generate GENERATE.json --learn DPO.json --chats FILE

Each FILE.json is a stage's settings; `null` for DPO's where the list of stages has none. The rows themselves are
written during the run: the shipped chats stand for them, and the longest that can be written is counted. Prints one
line and exits 0, or says what is wrong and exits 2.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from recipes.common.preflight.template import share, source_of, tokenizer_folder
from recipes.common.stage.command import run
from recipes.common.stage.files import read_json
from recipes.common.stage.inputs import POSITIONAL, read_inputs
from recipes.synthetic_instruct.chat import Chat, one_bos, open_chat, turns
from recipes.synthetic_instruct.models import read_pairs
from recipes.synthetic_instruct.preflight.access import check_access


@dataclass(frozen=True, kw_only=True)
class Inputs:
    generator: Annotated[Path, POSITIONAL]
    base: Annotated[Path, POSITIONAL]
    judge: Annotated[Path, POSITIONAL]
    generate: Path
    learn: Path
    chats: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    inputs = read_inputs(__doc__, Inputs, argv)
    base, learning = source_of(inputs.base), read_json(inputs.learn)
    access = check_access([source_of(inputs.generator), base, source_of(inputs.judge)])
    if learning is None or base.repo == "tiny":
        print(access)
        return
    chat = open_chat(tokenizer_folder(base), learning["template"])
    lengths = [_tokens(chat, *pair) for pair in read_pairs(inputs.chats)]
    writing, limit = read_json(inputs.generate), learning["max_length"]
    most = _tokens(chat, "", "") + writing["instruction_tokens"] + writing["response_tokens"]
    over = f"of {len(lengths)} chats {share(lengths, limit):.1%} over max_length {limit:,}"
    cut = ", of which the end is cut" if most > limit else ""
    print(f"{access}; {over}; the longest that can be written has {most:,} tokens{cut}")


def _tokens(chat: Chat, instruction: str, response: str) -> int:
    ids = chat.tokenizer.apply_chat_template(turns(instruction, response), return_dict=False)
    return len(one_bos(ids, chat.tokenizer.bos_token_id, "the chat"))


if __name__ == "__main__":
    run(main)
