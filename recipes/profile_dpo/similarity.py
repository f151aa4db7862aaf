"""How alike two texts are, and which of several texts is nearest to another. Symmetric, by words. Pure."""

import math
import re
from collections import Counter
from collections.abc import Sequence

TERM = re.compile(r"\w+")


def term_counts(text: str) -> Counter[str]:
    """How often each word is in the text, whatever its case."""
    return Counter(TERM.findall(text.casefold()))


def likeness(text: str, other: str) -> float:
    """Twice the words that both have, over all words of both (Dice): 1 for the same words, 0 for none in common."""
    first, second = term_counts(text), term_counts(other)
    total = first.total() + second.total()
    return 2 * (first & second).total() / total if total else 1.0


def different(texts: Sequence[str], limit: float) -> list[str]:
    """The texts, in order, without those that are more alike than `limit` to one that stays."""
    kept: list[str] = []
    for text in texts:
        if all(likeness(text, other) <= limit for other in kept):
            kept.append(text)
    return kept


class Nearest:
    """Finds the nearest of some texts by the cosine of their words, rare words counting more (tf-idf)."""

    def __init__(self, texts: Sequence[str]):
        counts = [term_counts(text) for text in texts]
        self.holding = Counter(term for count in counts for term in count)
        self.total = len(counts)
        self.vectors = [self._vector(count) for count in counts]

    def order(self, text: str) -> list[int]:
        """The places of all texts, the nearest first; of equally near ones the earlier."""
        vector = self._vector(term_counts(text))
        near = [sum(value * other.get(term, 0.0) for term, value in vector.items()) for other in self.vectors]
        return sorted(range(self.total), key=lambda index: (-near[index], index))

    def _vector(self, count: Counter[str]) -> dict[str, float]:
        """Of length 1."""
        weighted = {
            term: often * math.log((1 + self.total) / (1 + self.holding[term]) + 1) for term, often in count.items()
        }
        length = math.sqrt(sum(value * value for value in weighted.values())) or 1.0
        return {term: value / length for term, value in weighted.items()}
