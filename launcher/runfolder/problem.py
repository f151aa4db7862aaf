"""The errors of the node program, and the exit codes of both programs."""

from pathlib import Path

DONE = 0
"""Success."""
OURS = 1
"""A defect of the launcher, or a disk that is full or not writable."""
MISTAKE = 2
"""A mistake of the user: nothing was started."""
FAILED = 3
"""A stage failed, or its result is not what the recipe demands, or another system did not answer."""
INTERRUPTED = 33
"""The run was stopped by the user, at a limit, or with its machine: the same command continues it."""


class Problem(Exception):
    """An error, with its hint and its exit code."""

    def __init__(self, error: str, hint: str, code: int = FAILED, reason: str | None = None):
        """`reason` is why a run was interrupted: `asked`, or the limit."""
        super().__init__(error)
        self.error, self.hint, self.code, self.reason = error, hint, code, reason

    @property
    def facts(self) -> dict[str, str | int]:
        """The fields of the event about it."""
        why = {"reason": self.reason} if self.reason else {}
        return {"code": self.code, "error": self.error, "hint": self.hint, **why}

    def __str__(self) -> str:
        return f"error: {self.error}\n\nhint: {self.hint}"


def log_end(log: Path, start: int) -> str:
    """The last 8 kB of a log, without what was written before byte `start`."""
    if not log.exists():
        return ""
    with open(log, "rb") as file:
        file.seek(max(start, log.stat().st_size - 8192))
        return file.read().decode(errors="replace")


def closing_error(log: str) -> tuple[str, str] | None:
    """The error and the hint with which a stage's output ends (`error: ... hint: ...`); None if it ends otherwise."""
    start = ("\n" + log).rfind("\nerror: ")
    if start < 0:
        return None
    error, mark, hint = log[start:].removeprefix("error: ").partition("\n\nhint: ")
    return (error.strip(), hint.strip()) if mark else None
