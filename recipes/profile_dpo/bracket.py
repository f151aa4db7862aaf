"""Single elimination for any number of players, and every preference that its results imply. Pure.

Players are numbers from 0 on. In a round neighbours meet; with an odd number the last one waits, without a match, and
is the first in the next round, so that nobody waits twice in a row. n players need n - 1 matches in any case.
"""

import math
import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Result(NamedTuple):
    """Of a match; `decided` is false where a coin had to say who won."""

    winner: int
    loser: int
    decided: bool = True


class Preference(NamedTuple):
    better: int
    worse: int
    decided: bool
    """Whether no coin is between the two."""


def draw(players: int, seed: str) -> list[int]:
    """The players in the order in which they stand; always the same for a seed."""
    order = list(range(players))
    random.Random(seed).shuffle(order)
    return order


def pairs(standing: Sequence[int]) -> list[tuple[int, int]]:
    """Who meets whom in a round."""
    return list(zip(standing[0::2], standing[1::2], strict=False))


def advance(standing: Sequence[int], winners: Sequence[int]) -> list[int]:
    """Who stands after a round, in order; `winners` of its pairs, in order."""
    return [*(standing[-1:] if len(standing) % 2 else []), *winners]


def rounds(players: int) -> int:
    """How many there are until one player is left."""
    return math.ceil(math.log2(players)) if players > 1 else 0


def matches(players: int) -> list[int]:
    """Of each round."""
    counts = []
    while players > 1:
        counts.append(players // 2)
        players -= players // 2
    return counts


def preferences(results: Iterable[Result]) -> list[Preference]:
    """The winner of each match over everyone whom its loser had beaten, directly or not, and over the loser.

    `results` in the order of their rounds. No pair comes twice, and none is of a player and itself.
    """
    below: dict[int, dict[int, bool]] = {}
    implied = []
    for winner, loser, decided in results:
        beaten = {loser: decided} | {other: sure and decided for other, sure in below.get(loser, {}).items()}
        implied += [Preference(winner, other, sure) for other, sure in beaten.items()]
        below.setdefault(winner, {}).update(beaten)
    return implied


def expected_preferences(players: int) -> float:
    """Preferences of a tournament; exact for powers of two, else the mean when each match is a fair coin's."""
    # of each who stands: how many it is known to be better than, on average; a winner takes over what the loser has
    standing, total = [0.0] * players, 0.0
    while len(standing) > 1:
        met = list(zip(standing[0::2], standing[1::2], strict=False))
        total += sum((first + second) / 2 + 1 for first, second in met)
        standing = [*(standing[-1:] if len(standing) % 2 else []), *(first + second + 1 for first, second in met)]
    return total
