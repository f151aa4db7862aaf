"""A machine that is somebody else's: what it says, and the files it offers, change nothing on the laptop but copies."""

import hashlib
import json
import os

import pytest

from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Plan, Stage
from launcher.transfer.copy import pull
from launcher.transfer.mirror import Mirror
from tests.fuzz.outcome import only_below
from tests.launcher.conftest import remote

__all__ = ["remote"]

PLAN = Plan("run", "toy-tiny", (Stage("first", ("true",)),), "first", Code(""))
HINT = "\n\nhint: nothing was copied: do not trust the machine that wrote it"


@pytest.fixture
def machine(tmp_path):
    """Its side of a run, and files of the user's on the laptop that it would like to have or to change."""
    there = RunFolder(tmp_path / "machine/run")
    there.stage("first").work.mkdir(parents=True)
    there.export.mkdir()
    (tmp_path / "laptop/.ssh").mkdir(parents=True)
    (tmp_path / "laptop/.ssh/authorized_keys").write_text("mine\n")
    (tmp_path / "laptop/.bashrc").write_text("mine\n")
    return there


@pytest.fixture
def mirror(machine, remote, tmp_path):
    here = tmp_path / "laptop/runs/.store/run"
    here.mkdir(parents=True)
    return Mirror(PLAN, remote, str(machine.path), RunFolder(here))


def listed(machine, *names):
    about = {"bytes": 5, "sha256": hashlib.sha256(b"mine\n").hexdigest()}
    machine.manifest.write_text(json.dumps({"export": dict.fromkeys(names, about), "stages": {}}))


@pytest.mark.parametrize("name", ["../../../../.bashrc", "/tmp/planted", "a/../../x", "..", "", "a//b", "./a", "a\0b"])
def test_a_manifest_that_names_a_place_outside_the_export_is_not_followed(mirror, machine, tmp_path, refusal, name):
    listed(machine, "config.json", name)
    with only_below(mirror.here.path / ".incoming", tmp_path / "laptop"):
        said = refusal(mirror.copy_export, code=3)
    shown = f"`h:{machine.path}/manifest.json`: its file `{name}` would lie outside the export"
    assert said == f"error: {shown}{HINT}"
    mirror.here.manifest.write_text(machine.manifest.read_text())
    home = RunFolder(tmp_path / "laptop/runs/run")
    with only_below(home.path, tmp_path / "laptop"):
        said = refusal(pull, mirror.here, home, lambda _: None, code=3)
    assert said == f"error: `{mirror.here.manifest}`: its file `{name}` would lie outside the export{HINT}"


def test_links_in_place_of_logs_and_of_the_export_are_not_copied(mirror, machine, tmp_path):
    laptop = tmp_path / "laptop"
    machine.node_log.symlink_to(laptop / ".bashrc")  # the laptop appends a job's last words to it
    machine.stage("first").log.symlink_to("../../../../../.ssh/authorized_keys")
    machine.events.write_text('{"time": 1, "event": "run.started"}\n')
    (machine.export / "weights").symlink_to(laptop / ".ssh/authorized_keys")
    listed(machine, "weights")
    mirror.refresh()
    assert mirror.here.events.exists()
    assert not os.path.lexists(mirror.here.node_log) and not os.path.lexists(mirror.here.stage("first").log)
    mirror.copy_export()
    assert not os.path.lexists(mirror.here.export / "weights") and not mirror.has_export()


def saved(machine, name):
    with open(machine.events, "a") as file:
        file.write(
            json.dumps({"time": 1.0, "event": "stage.checkpoint", "stage": "first", "name": name, "step": 1}) + "\n"
        )


@pytest.mark.parametrize("name", ["../../../../../../.ssh", "/tmp", "..", "a/../../b", ""])
def test_a_checkpoint_s_name_that_leads_elsewhere_is_passed_over(mirror, machine, tmp_path, name):
    saved(machine, name)
    mirror.refresh()
    with only_below(mirror.here.path, tmp_path / "laptop"):
        assert mirror.missing() == [] and mirror.copy_missing() == []
    assert (tmp_path / "laptop/.ssh/authorized_keys").read_text() == "mine\n"


def test_a_checkpoint_keeps_its_own_links_and_none_that_lead_out(mirror, machine, tmp_path):
    place = machine.stage("first").work / "step_1"
    (place / "deep/er").mkdir(parents=True)
    (place / "weights").write_text("x")
    (place / "own").symlink_to("weights")
    (place / "out").symlink_to(tmp_path / "laptop/.bashrc")
    (place / "up").symlink_to("../../../../../../.bashrc")
    saved(machine, "step_1")
    mirror.refresh()
    assert mirror.copy_missing() == []
    here = mirror.here.stage("first").work / "step_1"
    assert (here / "own").read_text() == "x" and not os.path.lexists(here / "out") and not os.path.lexists(here / "up")


def test_a_chain_of_links_that_leads_out_is_left_out_or_takes_the_copy_with_it(mirror, machine):
    """`top` leads to the checkpoint's own folder, and `out` by way of it above that: rsync before 3.4 takes both."""
    place = machine.stage("first").work / "step_1"
    (place / "a/b").mkdir(parents=True)
    (place / "weights").write_text("x")
    (place / "a/b/top").symlink_to("../..")
    (place / "a/b/out").symlink_to("top/../../../../../../../.bashrc")
    (place / "a/b/near").symlink_to("top/..")
    saved(machine, "step_1")
    mirror.refresh()
    left = mirror.copy_missing()
    here = mirror.here.stage("first").work / "step_1"
    assert here.exists() == (left == [])
    assert all(path.resolve().is_relative_to(here.resolve()) for path in here.rglob("*"))


def test_a_device_or_a_pipe_is_not_copied(mirror, machine):
    place = machine.stage("first").work / "step_1"
    place.mkdir()
    (place / "weights").write_text("x")
    os.mkfifo(place / "pipe")
    saved(machine, "step_1")
    mirror.refresh()
    assert mirror.copy_missing() == []
    assert [one.name for one in (mirror.here.stage("first").work / "step_1").iterdir()] == ["weights"]
