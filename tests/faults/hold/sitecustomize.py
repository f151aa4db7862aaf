"""Part of every Python that starts in a run that is to be disturbed: the process waits where a file `hold` tells it to,
until that file is gone, so that what goes wrong does so at that point. Without such a file it does nothing."""

import json
import os
import re
import sys
import time

PLACES = {"open": 1, "os.mkdir": 1, "os.rename": 2, "os.link": 2}
"""Audit events of Python's that name files, and how many of their arguments do."""


def hold_file():
    """The file named by HOLD, else `hold` in a folder that the command line names, or above it."""
    path = os.environ.get("HOLD", "")
    if os.path.exists(path):
        return path
    for path in sys.orig_argv:
        while path.startswith("/") and path != "/":
            if os.path.exists(f"{path}/hold"):
                return f"{path}/hold"
            path = os.path.dirname(path)
    return None


def install(path):
    with open(path) as file:
        order = json.load(file)
    pattern, left, busy, real = re.compile(order["at"]), [order["nth"]], [], time.time

    def hook(event, arguments):
        if event not in PLACES or busy or not all(isinstance(argument, str) for argument in arguments[: PLACES[event]]):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if not pattern.search(" ".join((event, *arguments[: PLACES[event]]))):
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

    if jump := order.get("jump"):
        time.time = lambda: real() + (jump if os.path.exists(f"{path}.jumped") else 0)
    sys.addaudithook(hook)


if (hold := hold_file()) is not None:
    install(hold)
