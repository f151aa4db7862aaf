"""Ranks are started with torchrun's variables, and how they end is how the stage ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import patience, until

ROOT = Path(__file__).parents[4]
RANK = """
import json, os, signal, sys, time
from pathlib import Path
if "RANK" not in os.environ:  # on a machine of its own, started by srun
    from recipes.common.distributed.launch import start
    sys.exit(start("some_rank", sys.argv[1:], 2))
place, what = Path(sys.argv[1]), sys.argv[2:]
names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT OMP_NUM_THREADS".split()
rank = int(os.environ["RANK"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(33))
part = place / f"{rank}.part"
part.write_text(json.dumps({name: os.environ[name] for name in names} | {"pid": os.getpid()}))
part.rename(place / f"{rank}.json")
if what[rank] == "wait":
    signal.pause()
while len(list(place.glob("*.json"))) < int(os.environ["LOCAL_WORLD_SIZE"]):
    time.sleep(0.01)
sys.exit(int(what[rank]))
"""
SRUN = """#!/usr/bin/env python3
import os, signal, subprocess, sys
words = sys.argv[1:]
nodes = next(word.partition("=")[2] for word in words if word.startswith("--nodes="))
command = words[next(place for place, word in enumerate(words) if not word.startswith("--")):]
tasks = []
signal.signal(signal.SIGUSR1, lambda *_: [os.killpg(one.pid, signal.SIGUSR1) for one in tasks])
for node in range(int(nodes)):
    env = {**os.environ, "SLURM_NODEID": str(node)}
    tasks.append(subprocess.Popen(command, env=env, start_new_session=True))
sys.exit(max(one.wait() for one in tasks))
"""
"""What srun does for a step of a task a machine: as srun, it passes SIGUSR1 on to all processes of each task."""


@pytest.fixture
def start(tmp_path):
    """`start("0", "3")`: two ranks that end with these codes; `wait`: not by themselves."""
    (tmp_path / "some_rank.py").write_text(RANK)

    def start(*ends, count=2, **variables):
        code = (
            "import sys; from recipes.common.distributed.launch import start; "
            f"sys.exit(start('some_rank', sys.argv[1:], {count}))"
        )
        env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", **variables}
        return subprocess.Popen([sys.executable, "-c", code, str(tmp_path), *ends], env=env)

    return start


def ranks(folder, count):
    """What each rank says of itself, once all do."""
    until(lambda: len(list(folder.glob("*.json"))) >= count, f"{count} ranks")
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]


def lives(rank):
    """Whether its process is there, and no zombie."""
    try:
        return bool(Path(f"/proc/{rank['pid']}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


def test_each_rank_has_torchrun_s_variables(start, tmp_path):
    assert start("0", "0").wait(timeout=patience(60)) == 0
    one, two = ranks(tmp_path, 2)
    assert [one["RANK"], two["RANK"]] == [one["LOCAL_RANK"], two["LOCAL_RANK"]] == ["0", "1"]
    assert {one["WORLD_SIZE"], two["WORLD_SIZE"], one["LOCAL_WORLD_SIZE"]} == {"2"}
    assert one["MASTER_PORT"] == two["MASTER_PORT"] and one["MASTER_ADDR"] == "127.0.0.1"


def test_a_second_machine_s_ranks_come_after_the_first_s(start, tmp_path):
    several = {"SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1", "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2"}
    assert start("", "", "0", "0", **several).wait(timeout=patience(60)) == 0
    assert sorted(int(one["RANK"]) for one in ranks(tmp_path, 2)) == [2, 3]


@pytest.mark.parametrize("code", [2, 3])
def test_when_one_fails_the_others_are_ended_and_its_code_is_the_stage_s(start, tmp_path, code):
    process = start("wait", str(code))
    assert process.wait(timeout=patience(60)) == code
    assert not any(map(lives, ranks(tmp_path, 2)))


def test_a_request_to_stop_reaches_all_and_33_is_what_they_say(start, tmp_path):
    process = start("wait", "wait")
    ranks(tmp_path, 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=patience(60)) == 33


def test_ranks_die_with_the_one_that_started_them(start, tmp_path):
    process = start("wait", "wait")
    found = ranks(tmp_path, 2)
    process.kill()
    process.wait()
    until(lambda: not any(map(lives, found)), "the end of the ranks")


@pytest.fixture
def job(tmp_path):
    """The variables of a batch job of two machines, which have an srun."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/srun").write_text(SRUN)
    (tmp_path / "bin/srun").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"NNODES": "2", "SLURM_JOB_ID": "7", "MASTER_ADDR": "first", "MASTER_PORT": "20007", "PATH": path}


def test_in_a_slurm_job_srun_starts_the_ranks_of_all_machines(start, tmp_path, job):
    assert start("0", "0", "0", "0", **job).wait(timeout=patience(60)) == 0
    found = ranks(tmp_path, 4)
    assert [one["RANK"] for one in found] == ["0", "1", "2", "3"]
    assert {(one["MASTER_ADDR"], one["MASTER_PORT"], one["WORLD_SIZE"]) for one in found} == {("first", "20007", "4")}


def test_a_request_to_stop_reaches_the_ranks_of_all_machines(start, tmp_path, job):
    process = start("wait", "wait", "wait", "wait", **job)
    ranks(tmp_path, 4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=patience(60)) == 33
