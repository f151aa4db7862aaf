"""Counts tokens the way the trainer will: the model's chat template, then its tokenizer without special tokens."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

from recipes.common.stage.command import Mistake

Message = dict[str, str]
"""{"role": ..., "content": ...}, in this order."""

_FIRST = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_LAST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {_FIRST + r"\p{N}" + _LAST, _FIRST + r"\p{N}{1,3}" + _LAST}
"""Of Qwen 2 to 3 and of Llama 3, as their `tokenizer.json` have them."""

LONGEST = 32
"""Characters of a piece that is remembered."""
MOST = 200_000
"""Pieces that are remembered, and those that came once: about 25 MB each."""


class Tokens:
    """The tokenizer of one model folder."""

    def __init__(self, model: Path):
        """Loads it from disk alone; a Mistake when it is absent, slow or has no chat template."""
        from transformers import AutoTokenizer

        hint = "name the folder that the model stage made, of an Instruct model"
        if not (model / "tokenizer_config.json").is_file():
            raise Mistake(f"no tokenizer in `{model}`", hint)
        self.tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        if not self.tokenizer.is_fast:
            raise Mistake(f"the tokenizer in `{model}` has no `tokenizer.json`", hint)
        if not self.tokenizer.chat_template:
            raise Mistake(f"the tokenizer in `{model}` has no chat template", hint)
        # The Rust tokenizer itself counts without making Python lists; some repositories leave a truncation set in it.
        self.core = self.tokenizer.backend_tokenizer
        self.core.no_truncation()
        self.core.no_padding()
        self.pieces = Pieces(self._lengths) if divisible(self.core) else None

    def render(self, messages: list[Message]) -> str:
        """The prompt's text, up to and with the assistant's header."""
        from jinja2 import TemplateError

        try:
            return self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        except TemplateError as problem:
            start = messages[-1]["content"][:40]
            error = f"the model's chat template refuses the chat that ends with `{start}`: {problem}"
            raise Mistake(error, "change such chats, or choose a model whose template accepts them") from problem

    def lengths(self, texts: list[str]) -> list[int]:
        """Tokens of each text; markers in the text such as <|im_end|> count as one."""
        return self.pieces.lengths(texts) if self.pieces else self._lengths(texts)

    def count(self, messages: list[Message]) -> int:
        """Tokens of the rendered prompt."""
        return self.lengths([self.render(messages)])[0]

    def _lengths(self, texts: list[str]) -> list[int]:
        return [len(encoding) for encoding in self.core.encode_batch_fast(texts, add_special_tokens=False)]


def divisible(core: Any) -> bool:
    """Whether the tokenizer (of the package `tokenizers`) is one whose texts can be counted in pieces."""
    tokenizer = json.loads(core.to_str())
    model, added = tokenizer["model"], tokenizer["added_tokens"]
    cuts = (tokenizer["pre_tokenizer"] or {}).get("pretokenizers", [])
    if model["type"] != "BPE" or model["dropout"] or [entry["type"] for entry in cuts] != ["Split", "ByteLevel"]:
        return False
    split, level = cuts
    return (
        split["pattern"].get("Regex") in PATTERNS
        and (split["behavior"], split["invert"]) == ("Isolated", False)
        and not level["add_prefix_space"]
        and not level["use_regex"]
        and tokenizer["normalizer"] in (None, {"type": "NFC"})
        and not any(entry["lstrip"] or entry["rstrip"] or entry["single_word"] for entry in added)
        and not any(re.search(r"\s", entry["content"]) for entry in added)
    )


class Pieces:
    """Counts what `count`, the tokenizer's own way, would count, each word that comes again tokenized once.

    Byte-level BPE cuts a text by a pattern and merges within the cuts alone: wherever the pattern is sure to cut, a
    text may be split beforehand, and has as many tokens as its pieces together, in whatever company these are
    tokenized. PATTERNS cut before every space that follows a character which is no white space: no alternative of
    theirs goes on across such a place, and none looks behind itself. In chats most pieces are words that were there
    before.
    """

    def __init__(self, count: Callable[[list[str]], list[int]]):
        self.count = count
        self.known: dict[str, int] = {}
        """Tokens of a piece together with the space before it. No key is empty or ends in white space."""
        self.once: set[str] = set()
        """Pieces that came once so far: they are counted in one text with their neighbours."""

    def lengths(self, texts: list[str]) -> list[int]:
        """Tokens of each text."""
        totals: list[int] = []
        rests: list[str] = []
        again: list[tuple[int, str]] = []
        for index, text in enumerate(texts):
            first, *rest = text.split(" ")
            counts = [*map(self.known.get, rest, repeat(0))]
            pieces = []
            for piece in _unknown(first, rest, counts):
                if piece in self.once:
                    again.append((index, piece))
                else:
                    pieces.append(piece)
                    if _is_spaced(piece):
                        self.once.add(piece)
            totals.append(sum(counts))
            rests.append("".join(pieces))
        repeated = list({piece for _, piece in again})
        lengths = self.count([*rests, *repeated])
        token_counts = dict(zip(repeated, lengths[len(rests) :], strict=True))
        for index, piece in again:
            totals[index] += token_counts[piece]
        self._remember(token_counts)
        return [total + length for total, length in zip(totals, lengths, strict=False)]

    def _remember(self, token_counts: dict[str, int]) -> None:
        self.once.difference_update(token_counts)
        if len(self.once) > MOST:
            self.once.clear()
        for piece, length in token_counts.items():
            if len(self.known) < MOST:
                self.known[piece[1:]] = length


def _unknown(first: str, rest: list[str], counts: list[int]) -> Iterator[str]:
    """The text's first piece, and those that `counts` has as 0; it is 0 for all that is in them."""
    piece, at = first, -1
    while True:
        while (not piece or piece[-1].isspace()) and at + 1 < len(rest):
            at += 1
            piece, counts[at] = f"{piece} {rest[at]}", 0
        yield piece
        try:
            at = counts.index(0, at + 1)
        except ValueError:
            return
        piece = " " + rest[at]


def _is_spaced(piece: str) -> bool:
    return len(piece) <= LONGEST and piece.rfind(" ") == 0 and not piece[-1].isspace()
