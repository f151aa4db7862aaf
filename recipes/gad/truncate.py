"""A chat shortened to a number of tokens from its old end, so that the newest question survives whole.

verl shortens a long prompt from the left, token by token, and so would lose the system message and split a turn.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

from recipes.gad.rows import Message


class ShortChat(NamedTuple):
    """A chat within the limit, and what was removed."""

    messages: list[Message]
    dropped: int
    """Messages left out, the oldest ones."""
    cut: int
    """Characters cut off the start of the last user message."""


class TooLong(ValueError):
    """Not even one character of the user's message fits beside the system message and the headers."""


def fit(messages: list[Message], limit: int, count: Callable[[list[Message]], int]) -> ShortChat:
    """The chat with at most `limit` tokens as `count` measures it, the assistant's header included.

    The system message stays. Oldest turns go first, a user's together with the assistant's answer to it; when the
    last user message is too long on its own, its start is cut.
    """
    system = messages[:1] if messages[0]["role"] == "system" else []
    turns = messages[len(system) :]
    starts = [0, *(index for index, turn in enumerate(turns) if index and turn["role"] == "user")]

    def fits_from(start: int) -> bool:
        return count(system + turns[start:]) <= limit

    first = bisect_left(starts, True, key=fits_from)
    if first < len(starts):
        return ShortChat(system + turns[starts[first] :], starts[first], 0)
    text = turns[-1]["content"]

    def shortened(cut: int) -> list[Message]:
        return [*system, {"role": "user", "content": text[cut:]}]

    # Doubling from few characters keeps the measured texts near the limit, however long the message is.
    kept = limit
    while kept < len(text) and count(shortened(len(text) - kept)) <= limit:
        kept *= 2
    cuts = range(max(0, len(text) - kept), len(text))
    cut = bisect_left(cuts, True, key=lambda cut: count(shortened(cut)) <= limit)
    if cut == len(cuts):
        raise TooLong(f"the system message and the chat's headers alone take more than {limit} tokens")
    return ShortChat(shortened(cuts[cut]), starts[-1], cuts[cut])
