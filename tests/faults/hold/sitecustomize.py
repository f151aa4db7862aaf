"""Part of every Python that starts in a run that is to be disturbed: the process waits where a file `hold` tells it to,
until that file is gone, so that what goes wrong does so at that point. Without such a file it does nothing."""

import json
import os
import re
import sys
import time

PLACES = {"open": 1, "os.mkdir": 1, "os.rename": 2, "os.link": 2}
"""Audit events of Python's that name files, and how many of their words do."""


def place():
    """The file named by HOLD, else `hold` in a folder that the command line names, or above it."""
    found = os.environ.get("HOLD", "")
    if os.path.exists(found):
        return found
    for word in sys.orig_argv:
        while word.startswith("/") and word != "/":
            if os.path.exists(f"{word}/hold"):
                return f"{word}/hold"
            word = os.path.dirname(word)
    return None


def install(path):
    with open(path) as file:
        wanted = json.load(file)
    pattern, left, busy, real = re.compile(wanted["at"]), [wanted["nth"]], [], time.time

    def hook(event, words):
        if event not in PLACES or busy or not all(isinstance(one, str) for one in words[: PLACES[event]]):
            return
        if event == "open" and not words[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if not pattern.search(" ".join((event, *words[: PLACES[event]]))):
            return
        left[0] -= 1
        if left[0]:
            return
        busy.append(1)
        with open(f"{path}.held", "a") as file:
            file.write(f"{os.getpid()}\n")
        while os.path.exists(path):
            time.sleep(0.005)
        busy.clear()

    if jump := wanted.get("jump"):
        time.time = lambda: real() + (jump if os.path.exists(f"{path}.jumped") else 0)
    sys.addaudithook(hook)


if (found := place()) is not None:
    install(found)
