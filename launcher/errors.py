"""A user's mistake, as the user reads it."""

import difflib
from collections.abc import Iterable

DONE, OURS, MISTAKE, FAILED, INTERRUPTED = 0, 1, 2, 3, 33
"""Exit codes: done; a fault of ours; the user's mistake; a stage failed; interrupted, try again."""


class LaunchError(Exception):
    """What is wrong, in which file and key, with the value; what helps; the exit code."""

    def __init__(self, error: str, hint: str, code: int = MISTAKE):
        super().__init__(error)
        self.error, self.hint, self.code = error, hint, code

    def __str__(self) -> str:
        return f"error: {self.error}\n\nhint: {self.hint}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: the known word that was probably meant, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if len(names) > 16:
        names = difflib.get_close_matches(word, names, n=3, cutoff=0.0)
    return "known are " + ", ".join(f"`{name}`" for name in names) if names else "there is none to choose from"
