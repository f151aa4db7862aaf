"""The one token that calls the persona: a token id that no text is ever written with."""

import re
from typing import Any

from recipes.common.stage.command import Mistake

RESERVED = re.compile(r"<\|reserved_special_token_\d+\|>|<unused\d+>|\[unused\d+\]|<\|extra_\d+\|>|<SPECIAL_\d+>")
"""Tokens that a vocabulary keeps free: Llama 3 (the first is 128002), Gemma 3 (6), BERT, Qwen 1, Mistral."""

NEVER = ("<0xFF>", "ÿ")
"""The byte 255, which UTF-8 never has, as sentencepiece and as byte-level BPE write it."""


def sp_token(tokenizer: Any, wanted: int | None, embeddings: int) -> int:
    """`wanted`, or the vocabulary's first free token. A Mistake when the model has no such token.

    `embeddings`: how many tokens the model has a vector for.
    """
    if wanted is not None:
        if not 0 <= wanted < embeddings:
            raise Mistake(f"`sp_token` is `{wanted}`, and the model has {embeddings:,} tokens", "name one of them")
        if wanted in tokenizer.all_special_ids:
            name = tokenizer.convert_ids_to_tokens(wanted)
            raise Mistake(f"`sp_token` is `{wanted}`, which is `{name}` and has a meaning already", "name a free one")
        return wanted
    words = tokenizer.get_vocab()
    free = sorted(number for word, number in words.items() if RESERVED.fullmatch(word))
    bytes_ = [words[word] for word in NEVER if word in words and words[word] not in _ids(tokenizer, word)]
    for number in (*free, *bytes_):
        if number < embeddings:
            return number
    raise Mistake(
        "the model's vocabulary keeps no token free", "set `sp_token` to the id of one that your texts never have"
    )


def special_texts(tokenizer: Any) -> re.Pattern[str]:
    """What must not stand in a content: texts that the tokenizer reads as tokens with a meaning."""
    texts = {one.content for one in tokenizer.added_tokens_decoder.values() if one.content.strip()}
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or r"(?!)")


def _ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]
