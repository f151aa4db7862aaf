"""What is said of the workspace that run folders go to, by a ws_list of our own."""

import os

import pytest

from launcher.backends.slurm.login import Login
from launcher.config.slurm import SlurmSite
from launcher.preflight import slurm
from launcher.preflight.finding import OK, WARNING, Finding

SITE = SlurmSite(host="uc3", work="ws:launcher/runs")
HINT = "`launcher doctor --cloud slurm --extend 60` makes or extends it, for 60 days"


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """What the check finds when ws_list prints a workspace with so much time left. The login node is this machine."""
    monkeypatch.setattr(slurm, "login_of", lambda site: Login())
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def found(name, left):
        text = f"id: {name}\\n  workspace directory : /ws/{name}\\n  remaining time : {left}\\n"
        (tmp_path / "ws_list").write_text(f"#!/bin/sh\nprintf '{text}'\n")
        (tmp_path / "ws_list").chmod(0o755)
        return slurm.workspace(SITE)

    return found


def test_a_workspace_that_lasts_is_told_with_its_days(listed):
    assert listed("launcher", "59 days 23 hours") == Finding(
        "workspace", OK, "workspace launcher: 59 days 23 hours left"
    )
    assert listed("launcher", "7 days 0 hours").level == OK


def test_one_that_ends_soon_and_one_that_is_not_there_are_warned_of(listed):
    says = "workspace launcher: 6 days 23 hours left"
    assert listed("launcher", "6 days 23 hours") == Finding("workspace", WARNING, says, HINT)
    says = "the cluster lists no workspace `launcher`"
    assert listed("other", "59 days 23 hours") == Finding("workspace", WARNING, says, HINT)
