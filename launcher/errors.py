"""A user's mistake, as the user reads it."""

import difflib
import errno
from collections.abc import Iterable

from launcher.runfolder.problem import DONE, FAILED, INTERRUPTED, MISTAKE, OURS, Problem

__all__ = ["DONE", "FAILED", "INTERRUPTED", "MISTAKE", "OURS", "LaunchError", "did_you_mean", "sentence"]

NAMED = {errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTEMPTY}
THEIRS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS} | NAMED
"""What a disk, or the names on it, may do to any program."""


class LaunchError(Problem):
    """What is wrong, in which file and key, with the value; what helps; the exit code."""

    def __init__(self, error: str, hint: str, code: int = MISTAKE):
        super().__init__(error, hint, code)


def sentence(problem: LaunchError | OSError) -> LaunchError:
    """The problem as the user reads it. Raises it where it is neither a mistake nor a matter of the disk, or of a name
    on it."""
    if isinstance(problem, LaunchError):
        return problem
    if problem.errno not in THEIRS:
        raise problem
    helps = "name another place" if problem.errno in NAMED else "make room, or change site.yaml"
    return LaunchError(f"`{problem.filename}`: {problem.strerror}", helps, OURS)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: the known word that was probably meant, or all of them when they are few."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if len(names) > 16:
        names = difflib.get_close_matches(word, names, n=3, cutoff=0.0)
    return "choose one of " + ", ".join(f"`{name}`" for name in names) if names else "there is none to choose from"
