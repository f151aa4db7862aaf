"""What a stub `nvidia-smi` on PATH says reaches the events; one that is absent, broken or hangs does no harm."""

import os
import subprocess

import pytest

from launcher.node import process
from launcher.node.process import Gpus, gpu_usage

TWO = "NVIDIA H100 80GB HBM3, 81559, 64123, 97\nNVIDIA H100 80GB HBM3, 81559, 1200, 0\n"
SAID = {"name": "NVIDIA H100 80GB HBM3", "total": 81559, "used": [64123, 1200], "busy": [97, 0]}


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Puts an `nvidia-smi` with this shell text first on PATH."""

    def make(text):
        path = tmp_path / "bin/nvidia-smi"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
        return path.parent

    return make


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TWO, SAID),
        (
            "Tesla, the T4, 15360, [N/A], [Not Supported]\n",
            {"name": "Tesla, the T4", "total": 15360, "used": [0], "busy": [0]},
        ),
        ("", None),
        ("No devices were found\n", None),
        ("NVIDIA H100, \u00b281559, 1, 1\n", None),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver, a, b, c\n", None),
    ],
)
def test_the_driver_s_table_is_read(text, said):
    assert gpu_usage(text) == said


def test_a_machine_without_a_driver_is_asked_once(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = Gpus()
    assert [found.new() for _ in range(3)] == [None] * 3
    assert found.absent


def test_what_the_driver_says_comes_once_and_not_again_too_soon(driver, until):
    driver(f"cat <<'END'\n{TWO}END")
    found = Gpus()
    assert until(found.new) == SAID
    assert found.new() is None and found.process is None


def test_a_driver_that_hangs_is_given_up(driver, monkeypatch, until):
    driver("exec sleep 1000")
    monkeypatch.setattr(process, "PATIENCE", 0.1)
    found = Gpus()
    until(lambda: found.new() is None and found.absent)
    assert found.process is None and found.new() is None


def test_a_stage_s_gpus_are_in_the_events(by_hand, driver):
    place = driver(f"cat <<'END'\n{TWO}END")
    node = by_hand({"one": WAITS})
    node.env["PATH"] = f"{place}{os.pathsep}{node.env['PATH']}"
    assert node.run().returncode == 0
    (event,) = node.events("run.gpus")
    assert {name: event[name] for name in SAID} == SAID
    assert event["stage"] == "one"


WAITS = """
import pathlib, sys, time
events = pathlib.Path(sys.argv[1]).parents[2] / "events.jsonl"
while "run.gpus" not in events.read_text():
    time.sleep(0.01)
"""


def test_a_stage_that_ends_leaves_no_question_behind(by_hand, driver, tmp_path):
    place = driver(f"echo $$ > {tmp_path}/asked; exec sleep 1000")
    node = by_hand(
        {"one": f"import pathlib, time\nwhile not pathlib.Path('{tmp_path}/asked').exists(): time.sleep(0.01)"}
    )
    node.env["PATH"] = f"{place}{os.pathsep}{node.env['PATH']}"
    assert node.run().returncode == 0
    assert not node.events("run.gpus")
    process = (tmp_path / "asked").read_text().strip()
    assert subprocess.run(["kill", "-0", process], capture_output=True).returncode != 0
