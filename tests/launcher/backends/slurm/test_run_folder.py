"""Offline runs of Weights & Biases."""

import os

import pytest

from launcher.backends.slurm.run_folder import sync

SYNC = """\
#!/bin/sh
echo "$WANDB_API_KEY $*" >> "$CALLS"
[ -z "$FAILS" ] || { echo "wandb: ERROR $FAILS" >&2; exit 1; }
shift
for one; do touch "$one/run-1.wandb.synced"; done
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "run/stages/train/work/wandb/offline-run-1"
    place.mkdir(parents=True)
    (place / "run-1.wandb").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.defpath}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    (tmp_path / "bin").mkdir()
    return tmp_path / "run"


@pytest.fixture
def wandb(folder):
    path = folder.parent / "bin/wandb"
    path.write_text(SYNC)
    path.chmod(0o755)


def said(folder, key):
    lines = []
    sync(folder, key, lines.append)
    return lines


def test_offline_runs_are_sent_once(folder, wandb):
    assert said(folder, "key") == ["wandb     1 offline runs sent"]
    assert said(folder, "key") == []
    assert (folder.parent / "calls").read_text() == f"key sync {folder}/stages/train/work/wandb/offline-run-1\n"


def test_without_wandb_a_line_says_what_sends_them_and_without_a_key_nothing_does(folder, request):
    hand = f"`wandb sync {folder}/stages/*/work/wandb/offline-run-*` sends them"
    assert said(folder, "key") == [f"wandb     1 offline runs; `pip install wandb`, then {hand}"]
    request.getfixturevalue("wandb")
    assert said(folder, None) == []


def test_a_failure_is_said_and_stops_nothing(folder, wandb, monkeypatch):
    monkeypatch.setenv("FAILS", "no network")
    hand = f"`wandb sync {folder}/stages/*/work/wandb/offline-run-*` sends them"
    assert said(folder, "key") == [f"wandb     wandb: ERROR no network; {hand}"]


def test_a_run_without_any_says_nothing(tmp_path):
    assert said(tmp_path, "key") == []
