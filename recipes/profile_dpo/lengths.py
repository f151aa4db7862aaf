"""How long the rows are, and which of them are trained on."""

from typing import Any

from recipes.common.data.tokens import Tokens
from recipes.common.stage.command import StageError

Rows = dict[str, list[dict[str, Any]]]


def fitting(rows: Rows, tokens: Tokens, share: float, most: int) -> tuple[Rows, int]:
    """The rows whose two answers are no longer than the length that `share` of the training rows have, which is even
    and no more than `most`; and that length."""
    found = {name: lengths(part, tokens) for name, part in rows.items()}
    length = min(percentile(found["train"], share), most)
    length += length % 2
    kept = {
        name: [row for row, long in zip(part, found[name], strict=True) if long <= length]
        for name, part in rows.items()
    }
    for name, part in kept.items():
        if not part:
            raise StageError(
                f"no row of {name}.jsonl has {length:,} tokens or fewer", "a higher `max_length`, or a lower `papers`"
            )
    return kept, length


def lengths(rows: list[dict[str, Any]], tokens: Tokens) -> list[int]:
    """Tokens of each row's prompt with the longer of its two answers."""
    chats = [
        row["prompt"] + [{"role": "assistant", "content": row[side]}] for row in rows for side in ("chosen", "rejected")
    ]
    texts = [tokens.tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    found = tokens.lengths(texts)
    return [max(pair) for pair in zip(found[0::2], found[1::2], strict=True)]


def percentile(values: list[int], share: float) -> int:
    """The smallest of the values that `share` of them do not exceed."""
    order = sorted(values)
    return order[max(0, -int(-share * len(order) // 1) - 1)]
