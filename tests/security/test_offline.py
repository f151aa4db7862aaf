"""What works on a machine without any network: a namespace of its own, in which nothing can be reached."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.launcher.conftest import ROOT
from tests.support.patience import patience

OFFLINE = ["unshare", "--net", "--map-root-user"] if os.geteuid() else ["unshare", "--net"]


@pytest.fixture
def alone(toy):
    """Runs a command of the launcher's in the toy's folder, without a network."""
    if not shutil.which("unshare") or subprocess.run([*OFFLINE, "true"], capture_output=True).returncode:
        pytest.skip("no namespace can be made here")

    def run(*words, cwd=None):
        argv = [*OFFLINE, sys.executable, "-m", "launcher", *words]
        return subprocess.run(
            argv, cwd=cwd or toy.root, env=toy.env, capture_output=True, text=True, timeout=patience(120)
        )

    return run


def test_there_is_no_network_in_there(toy, alone):
    code = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    done = subprocess.run([*OFFLINE, sys.executable, "-c", code], capture_output=True, text=True)
    assert "Network is unreachable" in done.stderr or "Errno 101" in done.stderr, done.stderr


def test_a_run_on_this_machine_from_its_plan_to_its_report_needs_none(toy, alone):
    planned = alone("plan", "toy-tiny")
    assert planned.returncode == 0 and "result    from stage" in planned.stdout, planned.stderr
    assert json.loads(alone("plan", "toy-tiny", "--json").stdout)["run"] == "toy-tiny"
    launched = alone("rehearse", "toy-tiny", "--stages", "whole", "--run", "toy-tiny")
    assert launched.returncode == 0, launched.stdout + launched.stderr
    for words in (
        ("status",),
        ("watch",),
        ("runs",),
        ("report",),
        ("compare", "toy-tiny", "toy-tiny"),
        ("pull",),
        ("doctor", "toy-tiny"),
        ("launch", "toy-tiny", "--stages", "whole"),
    ):
        done = alone(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)


@pytest.mark.parametrize("command", ["", "launch"])
def test_help_needs_none(alone, command):
    done = alone(*filter(None, [command]), "--help")
    assert done.returncode == 0 and "Usage: " in done.stdout


def test_a_plan_for_rented_machines_needs_none(alone):
    done = alone("plan", "gad-7b", "--cloud", "runpod", "--max-hours", "1", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "SkyPilot has not fetched RunPod's prices yet" in done.stdout


def test_what_needs_a_network_says_so_in_a_sentence(alone):
    done = alone("lock", "gad-7b", cwd=ROOT)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.startswith("error: ") and "\n\nhint: " in done.stderr
