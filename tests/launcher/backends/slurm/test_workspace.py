"""Workspaces, as the HPC workspace tools speak of them."""

import os
import subprocess

import pytest

from launcher.backends.slurm.workspace import EXTEND, Workspace, folder, read
from launcher.errors import LaunchError

LISTED = """\
id: launcher
     workspace directory  : /pfs/work9/workspace/scratch/ab1234-launcher
     remaining time       : 59 days 23 hours
     creation time        : Sat Nov 21 20:10:00 2026
     expiration date      : Wed Jan 20 20:10:00 2027
     filesystem name      : pfs5wor9
     available extensions : 3
id: old
     workspace directory  : /pfs/work9/workspace/scratch/ab1234-old
     remaining time       : 5 hours
     available extensions : 0
"""


def test_what_ws_list_prints_is_read():
    launcher, old = read(LISTED)
    assert launcher == Workspace("launcher", "/pfs/work9/workspace/scratch/ab1234-launcher", 59 * 24 + 23, 3)
    assert launcher.says == "workspace launcher: 59 days 23 hours left, 3 extensions left"
    assert (old.hours, old.extensions) == (5, 0)
    assert read("") == read("Info: no workspaces\n") == []


def test_a_workspace_s_path_stands_for_its_name():
    assert folder("ws:launcher/runs", "/pfs/ab-launcher\n") == "/pfs/ab-launcher/runs"
    assert folder("ws:launcher", "/pfs/ab-launcher") == "/pfs/ab-launcher"
    with pytest.raises(LaunchError) as raised:
        folder("ws:launcher/runs", "\n")
    assert str(raised.value) == (
        "error: site.yaml: `slurm.work`: the cluster has no workspace `launcher`\n\n"
        "hint: `launcher doctor --cloud slurm --extend 60` makes it, for 60 days"
    )


@pytest.mark.parametrize(("there", "command"), [("/pfs/x", "ws_extend"), ("", "ws_allocate")])
def test_a_workspace_is_extended_where_it_is_and_made_where_it_is_not(tmp_path, there, command):
    for name, body in {
        "ws_find": f"echo '{there}'",
        "ws_extend": 'echo "$0 $*"',
        "ws_allocate": 'echo "$0 $*"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv = ["bash", "-s", "--", "launcher", "60"]
    done = subprocess.run(argv, input=EXTEND, text=True, env=env, capture_output=True)
    assert done.stdout == f"{tmp_path}/{command} launcher 60\n", done.stderr
