"""An allocation of a real Slurm, held by an unmodified SkyPilot while the toy runs in it."""

import json
import os
import signal

import pytest

from launcher.clouds.ledger import ledger
from tests.support.slurm.sky import sky
from tests.support.slurm.there import HELD, at_step, there

__all__ = ["at_step", "there"]
LONG = pytest.mark.skipif(os.environ.get("FAULTS") != "all", reason="each takes two allocations: `make faults`")


@pytest.fixture
def held(there, account, tmp_path):
    """The toy's user, whose site says `via: sky`; afterwards no allocation is left."""
    there.toy.env |= {**account, "XDG_STATE_HOME": str(tmp_path / "state")}
    there.toy.patience = 200
    there.site(via="sky")
    yield there
    there.toy.launcher("down", "--all")


def held_jobs(held):
    """Job number -> state, of the allocations that SkyPilot asked for and that are not over."""
    lines = held.cluster.root("squeue", "--noheader", "--format=%A %j %T").splitlines()
    return {one.split()[0]: one.split()[2] for one in lines if " toy-tiny-" in one}


@LONG
def test_a_run_in_a_held_allocation_outlives_its_launcher_and_ends_with_its_result(held, at_step):
    process = held.start(*HELD)
    at_step("sum", 3)
    assert list(held_jobs(held).values()) == ["RUNNING"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "toy-tiny" in sky(held.toy.env, "status").stdout
    [entry] = ledger(held.toy.env).alive()
    assert (entry.cloud, entry.region, entry.price) == ("slurm", "loop", 0.0)
    joined = held.start(*HELD)
    held.go("sum")
    out, _ = held.end(joined)
    assert "machine   " not in out and "pulled    2 files" in out
    assert held.attempts() == {"again": 1, "sum": 1} and held.total() == held.toy.total
    assert held_jobs(held) == {} and ledger(held.toy.env).alive() == []
    owners = {path.stat().st_uid for path in held.folder.path.rglob("*")}
    assert owners == {held.cluster.home.stat().st_uid} != {0}
    manifest = json.loads(held.folder.manifest.read_text())
    assert manifest["lineage"]["software"] == "environment"


@LONG
def test_stopping_a_held_run_writes_a_checkpoint_and_gives_the_allocation_back(held, at_step):
    process = held.start(*HELD)
    at_step("sum", 3)
    assert held.toy.launcher("stop").stdout.startswith("toy-tiny: stopped\n")
    held.end(process, 33)
    assert json.loads((held.folder.stage("sum").work / "step_3/saved.json").read_text())[0] == 3
    assert held_jobs(held) == {}
    held.go("sum")
    done = held.launch(*HELD)
    assert done.returncode == 0, done.stdout + done.stderr
    assert held.attempts() == {"again": 1, "sum": 2} and held.total() == held.toy.total


@LONG
def test_an_allocation_that_is_cancelled_is_a_sentence_and_the_next_launch_carries_on(held, at_step):
    process = held.start(*HELD)
    at_step("sum", 3)
    [job] = held_jobs(held)
    held.cluster.said("scancel", job)
    _, errors = held.end(process, 33)
    ended = "its time is up, somebody cancelled it, or its node failed\n\nhint: launch again: the run continues\n"
    # Slurm asks before it kills
    stopped = "the same launch command continues the run from the last complete checkpoint\n"
    assert errors.startswith(
        (
            f"error: the allocation of `toy-tiny` has ended: {ended}",
            f"error: stage `sum` was interrupted\n\nhint: {stopped}",
        )
    )
    held.go("sum")
    done = held.launch(*HELD)
    assert done.returncode == 0, done.stdout + done.stderr
    assert held.attempts()["sum"] == 2 and held.total() == held.toy.total


@LONG
def test_a_held_run_stops_before_its_allocation_ends(held, at_step):
    held.site(via="sky", time="2")
    process = held.start(*HELD)
    at_step("sum", 3)
    _, errors = held.end(process, 33)
    assert errors == (
        "error: the time of this launch is spent: stage `sum` was interrupted\n\n"
        "hint: the same launch command continues the run from the last complete checkpoint\n"
    )
    assert held_jobs(held) == {}


@LONG
def test_the_stages_see_the_gpus_of_the_allocation(held):
    """SkyPilot's own job step, which starts the node program, has none."""
    held.site(via="sky", partition="gpu", gres="gpu:h100:2", options={"cpus-per-task": 4, "mem": "2G"})
    program = held.toy.root / "recipes/toy/count.py"
    seen = 'print("gpus", os.environ.get("CUDA_VISIBLE_DEVICES"))'
    program.write_text(program.read_text().replace("import shutil\n", f"import shutil\n{seen}\n", 1))
    done = held.launch()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "machine   slurm loop, 4CPU--2GB--H100:2\n" in done.stdout
    assert "gpus 0,1\n" in held.folder.stage("sum").log.read_text()


def test_a_cluster_that_skypilot_does_not_know_is_refused(there, tmp_path):
    there.site(via="sky")
    there.toy.env["HOME"] = str(tmp_path)
    done = there.launch()
    assert (done.returncode, done.stderr) == (
        2,
        "error: credentials: `~/.slurm/config` has no `Host loop`\n\nhint: write there: `Host loop`, and below it "
        "`HostName`, `User` and `IdentityFile`, as in ~/.ssh/config\n",
    )
