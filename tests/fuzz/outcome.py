"""How a call ends, and what it may leave behind."""

import contextlib
import os

from launcher.errors import FAILED, MISTAKE
from launcher.runfolder.problem import Problem


def said(call, *args, codes=(MISTAKE, FAILED)):
    """The sentence that the call refuses with; None when it succeeds. Whatever else it raises is a defect."""
    try:
        call(*args)
    except Problem as problem:
        assert problem.code in codes, problem.code
        assert problem.error.strip() and problem.hint.strip()
        assert str(problem).startswith("error: ") and "\n\nhint: " in str(problem)
        return str(problem)
    return None


@contextlib.contextmanager
def only_below(inner, outer):
    """Nothing below `outer` changes but what is below `inner`."""
    before = _seen(inner, outer)
    yield
    after = _seen(inner, outer)
    assert after == before, sorted(set(after.items()) ^ set(before.items()))


def _seen(inner, outer):
    """Path -> size and time of every file below `outer`; folders have none."""
    found = {}
    for folder, folders, files in os.walk(outer):
        folders[:] = [name for name in folders if os.path.join(folder, name) != str(inner)]
        for name in (*folders, *files):
            about = os.lstat(path := os.path.join(folder, name))
            found[path] = (about.st_size, about.st_mtime_ns) if name in files else None
    return found
