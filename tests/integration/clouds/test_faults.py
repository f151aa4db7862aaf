"""What goes wrong with rented machines: what the user is told, and that none is left that nobody knows of."""

import signal
import sqlite3
from pathlib import Path

import pytest

from tests.emulator.faults import Fault
from tests.support.patience import patience, until

from .conftest import book, site

SOLD_OUT = "There are no longer any instances available with the requested specifications."
CREATE = {"runpod": "runpod:deployCpuPod", "lambda": "lambda:POST /instance-operations/launch"}


def launched(rented, *words, cloud="runpod"):
    return rented.launcher("launch", "toy-tiny", "--cloud", cloud, *words)


def nothing_is_left(rented, providers):
    assert [one.name for one in providers.machines()] == []
    assert book(rented).alive() == []


def test_where_there_is_no_capacity_the_next_cloud_is_taken_at_its_own_price(rented, providers):
    providers.faults.add(Fault(CREATE["runpod"], "refuse", SOLD_OUT, times=None))
    done = launched(rented, cloud="runpod,lambda")
    assert done.returncode == 0, done.stdout + done.stderr
    [entry] = book(rented).entries()
    assert (entry.cloud, entry.machine, entry.price) == ("lambda", "cpu_4x_general", 0.2)
    assert SOLD_OUT.split(".")[0] in (rented.folder().path / "launch.log").read_text()
    nothing_is_left(rented, providers)


def test_where_nobody_has_capacity_each_place_s_reason_is_said(rented, providers):
    providers.faults.add(Fault(CREATE["runpod"], "refuse", SOLD_OUT, times=None))
    done = launched(rented)
    assert done.returncode == 3
    first, _, hint = done.stderr.partition("\n\n")
    reason = SOLD_OUT.rstrip(".")
    assert first == f"error: no machine is to be had: RunPod RO: {reason}; RunPod SE: {reason}; RunPod US: {reason}"
    assert hint == "hint: `--wait HOURS` asks again until there is one; `--cloud runpod,lambda` asks more clouds\n"
    nothing_is_left(rented, providers)


@pytest.mark.parametrize("cloud", sorted(CREATE))
def test_a_machine_that_was_made_though_the_answer_was_an_error_does_not_live_on(rented, providers, cloud):
    providers.faults.add(Fault(CREATE[cloud], "lose", status=500, times=None))
    done = launched(rented, cloud=cloud)
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert len(providers.history()) >= 1
    nothing_is_left(rented, providers)


def test_a_machine_that_nobody_can_log_in_to_is_given_up_after_a_while(rented, providers):
    site(rented, sky={"start_minutes": 0.6})
    providers.faults.add(Fault(CREATE["runpod"], "no ssh", times=None))
    done = launched(rented)
    assert (done.returncode, done.stderr) == (
        3,
        "error: no machine of `toy-tiny` was ready after 0.6 minutes\n\n"
        "hint: launch again; some need longer: `sky.start_minutes` in site.yaml\n",
    )
    nothing_is_left(rented, providers)


def test_ctrl_c_while_a_machine_is_made_ends_it(rented, providers):
    process = rented.start("launch", "toy-tiny", "--cloud", "runpod")
    until(lambda: process.poll() is not None or providers.machines(), "a machine", 120)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=patience(120))
    assert (process.returncode, errors) == (
        33,
        "error: the run was interrupted\n\nhint: the same launch command continues the run\n",
    )
    nothing_is_left(rented, providers)


def test_a_launcher_that_is_killed_while_a_machine_is_made_leaves_it_in_the_ledger(rented, providers):
    process = rented.start("launch", "toy-tiny", "--cloud", "runpod")
    until(lambda: process.poll() is not None or providers.machines(), "a machine", 120)
    process.send_signal(signal.SIGKILL)
    process.wait()
    [entry] = book(rented).alive()
    assert entry.run == "toy-tiny" and entry.up is None
    listed = rented.launcher("runs").stdout
    assert "machine of" in listed and "toy-tiny" in listed.split("machine of")[1]
    done = rented.launcher("down", "toy-tiny")
    assert (done.returncode, done.stdout) == (0, "toy-tiny: terminated\n")
    nothing_is_left(rented, providers)


def test_a_machine_that_skypilot_has_forgotten_is_found_at_its_provider_and_ended(rented, providers, engine):
    rented.launcher("launch", "toy-tiny", "--cloud", "runpod", "--keep")
    [machine] = providers.machines()
    with sqlite3.connect(Path(rented.env["HOME"]) / ".sky/state.db") as state:
        state.execute("DELETE FROM clusters")
    listed = rented.launcher("runs").stdout
    assert f"not known to SkyPilot; at the provider's: runpod {machine.id}" in " ".join(listed.split())
    done = rented.launcher("down", "--all")
    assert done.returncode == 0, done.stderr
    nothing_is_left(rented, providers)


def test_a_slow_provider_is_waited_for(rented, providers):
    providers.faults.add(Fault("runpod:*", "delay", seconds=1.5, times=12))
    done = launched(rented, "--stages", "short")
    assert done.returncode == 0, done.stdout + done.stderr
    nothing_is_left(rented, providers)


def test_a_provider_that_does_not_answer_leaves_the_machine_in_the_ledger_in_red(rented, providers):
    providers.faults.add(Fault("runpod:podTerminate", "refuse", "Something went wrong.", times=None))
    done = launched(rented, "--stages", "short")
    assert done.returncode == 3
    assert "Something went wrong." in done.stderr
    [entry] = book(rented).alive()
    assert entry.bill(0).split(":")[0] in done.stderr
    assert done.stderr.endswith("hint: `launcher down toy-tiny` terminates it\n")
    assert len(providers.machines()) == 1
    assert int((rented.home().export / "total.txt").read_text()) > 0  # what was made is home before anything is ended
    providers.faults.clear()
    assert rented.launcher("down", "toy-tiny").returncode == 0
    nothing_is_left(rented, providers)


def test_a_run_whose_budget_is_spent_stops_on_the_machine_and_says_so(rented, providers):
    hold = ("--set", "sum.fault=hold@3")
    hours = f"{patience(216) / 3600:.3f}"  # a busy machine takes a while to make one
    done = launched(rented, "--max-hours", hours, *hold)
    assert done.returncode == 33, done.stdout + done.stderr
    assert done.stderr.startswith("error: the budget of this launch is spent")
    assert (rented.folder().stage("sum").work / "step_3/saved.json").is_file()
    nothing_is_left(rented, providers)
    again = launched(rented, "--max-hours", hours, *hold)
    assert again.returncode == 2
    assert again.stderr.startswith("error: the budget of run `toy-tiny` is used up: ")
    nothing_is_left(rented, providers)
