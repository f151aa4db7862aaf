"""ROUGE-L against the teacher's text: a diagnostic for choosing a checkpoint, never the reward that is trained on."""

import re

from rapidfuzz.distance import LCSseq

WORD = re.compile(r"\w+|[^\w\s]")


def rouge_l(text: str, teacher: str) -> float:
    """The F1 of the longest common subsequence of words (case ignored, each mark a word), from 0 to 1.

    The paper's own numbers come from a judge model; a higher ROUGE-L does not mean a better student.
    """
    mine, theirs = WORD.findall(text.lower()), WORD.findall(teacher.lower())
    if not mine or not theirs:
        return 0.0
    return 2 * LCSseq.similarity(mine, theirs) / (len(mine) + len(theirs))
