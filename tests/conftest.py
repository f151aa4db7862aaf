"""For all tests."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.faults.page import record
from tests.support.chance import SEED, taken
from tests.support.slurm.cluster import cluster

__all__ = ["cluster"]  # here, as `account` is, or each module that asks for it would start a Slurm of its own

LEFT_OUT = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def account(cluster, tmp_path_factory):
    """The environment of a user whose SkyPilot reaches the cluster."""
    from tests.support.slurm.sky import user  # with packages that the trainers' environment has not

    with user(cluster, tmp_path_factory.mktemp("account")) as env:
        yield env


def pytest_configure(config):
    """A shell starts background jobs with SIGINT ignored, and every process below would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("tests", deadline=None)  # 200 ms an example would fail tests on a busy machine
    settings.load_profile("tests")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    items[:], config.stash[LEFT_OUT] = taken(items)


def pytest_terminal_summary(terminalreporter, config):
    if said := config.stash.get(LEFT_OUT, ""):
        terminalreporter.write_line(said)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where RELIABILITY names a page, it says how a cell of the fault matrix ended."""
    report = yield
    if (path := os.environ.get("RELIABILITY")) and report.when == "call" and (cell := item.funcargs.get("cell")):
        record(Path(path), cell, report.passed, report.duration, SEED)
    return report
