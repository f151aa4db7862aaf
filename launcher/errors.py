"""Errors that the user reads, with their hints."""

import difflib
import errno
from collections.abc import Iterable

from launcher.runfolder.problem import DONE, FAILED, INTERRUPTED, MISTAKE, OURS, Problem

__all__ = ["DONE", "FAILED", "INTERRUPTED", "MISTAKE", "OURS", "LaunchError", "check_known", "did_you_mean", "sentence"]

PATH_ERRORS = {errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTEMPTY}
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS} | PATH_ERRORS
"""Errors of a disk, or of a path on it: no defect of the launcher."""


class LaunchError(Problem):
    """An error with its hint and its exit code. The text names the file, the key and the value."""

    def __init__(self, error: str, hint: str, code: int = MISTAKE):
        super().__init__(error, hint, code)


def sentence(problem: LaunchError | OSError) -> LaunchError:
    """The problem as the user reads it. Raises an OSError again that has nothing to do with the disk or a path."""
    if isinstance(problem, LaunchError):
        return problem
    if problem.errno not in DISK_ERRORS:
        raise problem
    hint = "name another path" if problem.errno in PATH_ERRORS else "make room, or change site.yaml"
    return LaunchError(f"`{problem.filename}`: {problem.strerror}", hint, OURS)


def check_known(name: str, known: Iterable[str], error: str) -> None:
    """Raises LaunchError with this text, and with the known name that the user probably meant, unless `name` is
    known."""
    names = list(known)
    if name not in names:
        raise LaunchError(error, did_you_mean(name, names))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint: the known name that the user probably meant, or all known names when they are few."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if len(names) > 16:
        names = difflib.get_close_matches(name, names, n=3, cutoff=0.0)
    return "choose one of " + ", ".join(f"`{name}`" for name in names) if names else "there is none to choose from"
