"""A judge without a model: the profile that has more of the abstracts' words. For tests, and to try a recipe out."""

import json
from collections.abc import Callable, Iterator

from recipes.profile_dpo.judge.types import Judge, Question, Reply
from recipes.profile_dpo.similarity import term_counts

LETTERS = 4
"""Shorter words say nothing."""


class WordJudge(Judge):
    """Always says the same, in either order."""

    def ask(self, questions: list[Question], attempt: int, halt: Callable[[], bool]) -> Iterator[Reply]:
        for question in questions:
            if halt():
                return
            first, second = (score(question.abstracts, text) for text in question.shown)
            # of equally good ones the one that comes first in the alphabet, whichever is shown first
            better = 1 if (-first, question.shown[0]) <= (-second, question.shown[1]) else 2
            text = json.dumps({"reasoning": f"{first} and {second} words", "preferred_profile": better})
            yield Reply(question.key, text, 0, 0)


def score(abstracts: tuple[str, ...], text: str) -> int:
    """Different words of the abstracts that are in the text."""
    known = set(term_counts(" ".join(abstracts)))
    return sum(len(term) >= LETTERS for term in set(term_counts(text)) & known)
