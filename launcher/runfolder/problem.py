"""How the node program ends when it does not end well."""

from pathlib import Path

DONE = 0
"""What was asked for is done."""
OURS = 1
"""A defect of the launcher's, or a disk that is full or closed to it."""
MISTAKE = 2
"""The user's mistake: nothing was started."""
FAILED = 3
"""A stage failed, or what it left is not what was demanded; or something outside did not answer."""
INTERRUPTED = 33
"""Stopped after a checkpoint, when asked to, at a limit, or with its machine: the same command continues it."""


class Problem(Exception):
    """What is wrong, in a sentence with its value; what helps; and the exit code that belongs to it."""

    def __init__(self, error: str, hint: str, code: int = FAILED, reason: str | None = None):
        """`reason` says in a word why a run was interrupted: it was asked to, or which limit it met."""
        super().__init__(error)
        self.error, self.hint, self.code, self.reason = error, hint, code, reason

    @property
    def facts(self) -> dict[str, str | int]:
        """What an event says of it."""
        why = {"reason": self.reason} if self.reason else {}
        return {"code": self.code, "error": self.error, "hint": self.hint, **why}

    def __str__(self) -> str:
        return f"error: {self.error}\n\nhint: {self.hint}"


def end_of(log: Path, start: int) -> str:
    """The last 8 kB of a log, of what was written after byte `start`."""
    if not log.exists():
        return ""
    with open(log, "rb") as file:
        file.seek(max(start, log.stat().st_size - 8192))
        return file.read().decode(errors="replace")


def said(log: str) -> tuple[str, str] | None:
    """The last `error: ... hint: ...` that a stage's output ends with; None when it ends otherwise."""
    start = ("\n" + log).rfind("\nerror: ")
    if start < 0:
        return None
    error, mark, hint = log[start:].removeprefix("error: ").partition("\n\nhint: ")
    return (error.strip(), hint.strip()) if mark else None
