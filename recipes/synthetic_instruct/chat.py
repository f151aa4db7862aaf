"""How the target model is talked to: a base model's tokenizer gets a chat template, and ends its turns."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.common.stage.command import Mistake, StageError
from recipes.common.stage.files import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FOLDER = Path(__file__).with_name("templates")
ENDS = {"chatml": "<|im_end|>", "llama3": "<|eot_id|>", "mistral": "</s>"}
"""Template -> the token that ends the assistant's turn."""
MARKS = re.compile(r"\{%-? *(?:end)?generation *-?%\}")
"""What says which part is the assistant's. Trainers read it; not every server does."""


@dataclass(frozen=True)
class Chat:
    """A tokenizer that knows the template, with the marks that say what the assistant wrote."""

    tokenizer: "PreTrainedTokenizerBase"
    end: int
    """The token that ends a turn."""
    ends: tuple[int, ...]
    """All that end a text: that one, and the base's own."""


def open_chat(model: Path, template: str) -> Chat:
    """The tokenizer of `model` with the template. Raises Mistake if its vocabulary lacks a token of the template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    base_end = tokenizer.eos_token_id
    text = (FOLDER / f"{template}.jinja").read_text(encoding="utf-8").rstrip("\n")
    for token in {*re.findall(r"<\|\w+\|>", text), ENDS[template]}:
        if tokenizer.convert_tokens_to_ids(token) in (None, tokenizer.unk_token_id):
            raise Mistake(
                f"`template` is `{template}`, and the base's vocabulary has no `{token}`",
                f"use the template of its model family, one of `{'`, `'.join(ENDS)}`",
            )
    end = tokenizer.convert_tokens_to_ids(ENDS[template])
    tokenizer.chat_template = text
    tokenizer.eos_token = ENDS[template]
    if tokenizer.pad_token_id in (None, end):
        others = [
            tokenizer.convert_ids_to_tokens(token)
            for token in (base_end, tokenizer.unk_token_id)
            if token not in (None, end)
        ]
        tokenizer.pad_token = [*others, ENDS[template]][0]
    return Chat(tokenizer, end, tuple(dict.fromkeys([end, *([] if base_end is None else [base_end])])))


def save_chat(chat: Chat, model: Path) -> None:
    """The model folder holds the tokenizer, with a template that any program can read, and ends its turns."""
    plain = MARKS.sub("", chat.tokenizer.chat_template)
    marked, chat.tokenizer.chat_template = chat.tokenizer.chat_template, plain
    chat.tokenizer.save_pretrained(model)
    chat.tokenizer.chat_template = marked
    ends = {"eos_token_id": list(chat.ends), "pad_token_id": chat.tokenizer.pad_token_id}
    write_json(model / "generation_config.json", ends | {"bos_token_id": chat.tokenizer.bos_token_id})


def turns(instruction: str, response: str) -> list[dict[str, str]]:
    """A whole chat."""
    return [{"role": "user", "content": instruction}, {"role": "assistant", "content": response}]


def one_bos(ids: list[int], bos: int | None, what: str) -> list[int]:
    """The ids. Raises StageError if they begin with two BOS tokens."""
    if bos is not None and ids[:2] == [bos, bos]:
        raise StageError(
            f"{what} begins with two BOS tokens", "the chat template writes one already: do not add another"
        )
    return ids
