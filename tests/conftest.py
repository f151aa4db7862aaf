"""For all tests."""

import signal

import pytest

from tests.chance import taken
from tests.slurm.cluster import cluster

__all__ = ["cluster"]  # here, or each module that asks for it would start a Slurm of its own

LEFT_OUT = pytest.StashKey[str]()


def pytest_configure(config):
    """A shell starts background jobs with SIGINT ignored, and every process below would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    items[:], config.stash[LEFT_OUT] = taken(items)


def pytest_terminal_summary(terminalreporter, config):
    if said := config.stash.get(LEFT_OUT, ""):
        terminalreporter.write_line(said)
