"""A whole launch on rented machines: real SkyPilot, real ssh, the toy recipe in a real image."""

import os
import re
import signal

import pytest

from tests.support.chance import some
from tests.support.patience import patience, until

from .conftest import book, sky

CLOUDS = ("runpod", "lambda")
HELD = ("--set", "again.fault=hold@3")


def attempts(toy):
    folder = toy.root / "runs/.store/toy-tiny"
    return {path.parent.name: int(path.read_text()) for path in folder.glob("stages/*/attempts")}


def held(toy, process, lines_of):
    """The run is at the step that holds it, as seen from here, and its last checkpoint is here."""
    folder = toy.folder().stage("again")
    progress = lambda: [one["step"] for one in lines_of(folder.progress) if "metrics" in one]  # noqa: E731
    until(lambda: process.poll() is not None or 3 in progress(), "step 3 of again", 240)
    assert process.poll() is None, process.communicate()
    until(lambda: list(folder.work.glob("step_*")), "a checkpoint", 240)


@pytest.mark.parametrize("cloud", some(CLOUDS, 1))
def test_a_launch_brings_a_verified_result_home_and_ends_the_machine(rented, providers, cloud):
    done = rented.launcher("launch", "toy-tiny", "--cloud", cloud)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int((rented.home().export / "total.txt").read_text()) == rented.total
    assert providers.machines() == []
    [entry] = book(rented).entries()
    assert (entry.run, entry.cloud, entry.end) == ("toy-tiny", cloud, "its export is pulled")
    assert entry.price and entry.cost(entry.ended) == pytest.approx(entry.hours(entry.ended) * entry.price)
    assert f"machine   {cloud} {entry.region}, {entry.machine}, ${entry.price:.2f}/h\n" in done.stdout
    assert "sending   plan.json, limits.json, inputs\n" in done.stdout
    assert done.stderr == ""
    assert set(providers.journal.refused) <= {"pypi.org"}  # SkyPilot looks there for a newer SkyPilot
    again = rented.launcher("launch", "toy-tiny", "--cloud", cloud)
    assert (again.returncode, again.stdout) == (
        0,
        f"run toy-tiny is finished: nothing to do. Its model is in {rented.home().export}\n",
    )


NO_ROW = """
from launcher.clouds import providers

providers.PROVIDERS = tuple(row for row in providers.PROVIDERS if row.name != "lambda")
"""
"""What Python does before it runs the launcher: the cloud is one that only SkyPilot knows."""


def test_a_cloud_without_a_row_is_planned_rented_listed_and_ended_through_skypilot_alone(
    rented, providers, lines_of, tmp_path
):
    (tmp_path / "sitecustomize.py").write_text(NO_ROW)
    rented.env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), rented.env.get("PYTHONPATH", "")])
    process = rented.start("launch", "toy-tiny", "--cloud", "lambda", *HELD)
    held(rented, process, lines_of)
    assert len(providers.machines()) == 1
    listed = rented.launcher("runs")
    assert "lambda" in listed.stdout and " up" in listed.stdout, listed.stdout + listed.stderr
    process.send_signal(signal.SIGKILL)
    process.wait()
    down = rented.launcher("down", "toy-tiny")
    assert (down.returncode, providers.machines()) == (0, []), down.stdout + down.stderr
    [entry] = book(rented).entries()
    assert (entry.cloud, entry.machine, bool(entry.price), bool(entry.ended)) == (
        "lambda",
        "cpu_4x_general",
        True,
        True,
    )
    planned = rented.launcher("plan", "toy-tiny", "--cloud", "lambda").stdout
    assert "unknown  cloud: `lambda` is experimental: no run of this launcher was ever made there\n" in planned
    assert "ok       offers: SkyPilot can do on lambda what the job file asks for\n" in planned
    assert "unknown  credentials: not checked: SkyPilot's access to lambda\n" in planned
    assert "cpu_4x_general" in planned and "$0.20/h" in planned


def test_two_runs_at_once_have_a_machine_each_though_ssh_calls_both_localhost(rented, providers):
    """SkyPilot reaches every container on a VM by the same name and port, each through a proxy of its own."""
    runs = {name: rented.start("launch", "toy-tiny", "--cloud", "lambda", "--run", name) for name in ("one", "other")}
    for name, process in runs.items():
        out, errors = process.communicate(timeout=patience(rented.patience))
        assert (process.returncode, errors) == (0, ""), out + errors
        assert int((rented.root / "runs" / name / "export/total.txt").read_text()) == rented.total
    assert {entry.run for entry in book(rented).entries()} == set(runs)
    assert providers.machines() == [] and book(rented).alive() == []


def test_at_a_terminal_nothing_is_rented_before_the_user_agrees(rented, providers):
    before, (keyboard, terminal) = len(providers.journal.calls), os.openpty()
    process = rented.start("launch", "toy-tiny", "--cloud", "runpod", stdin=terminal)
    os.write(keyboard, b"n\n")
    out, errors = process.communicate(timeout=patience(120))
    assert out.endswith("launch? [y/n] (n): "), out + errors
    assert (process.returncode, errors) == (
        2,
        "error: not launched: you did not say yes\n\nhint: `--yes` launches without a question\n",
    )
    assert book(rented).entries() == [] and providers.machines() == []
    asked = [call.operation for call in providers.journal.calls[before:]]
    assert not [one for one in asked if "eploy" in one or "launch" in one]


def test_a_machine_that_vanishes_costs_one_checkpoint_interval_and_the_next_cloud_carries_on(
    rented, providers, lines_of
):
    process = rented.start("launch", "toy-tiny", "--cloud", "runpod", "--set", "again.pause=4")
    held(rented, process, lines_of)
    [machine] = providers.machines()
    assert "running" in rented.launcher("status").stdout
    listed = rented.launcher("runs").stdout
    assert "runpod" in listed and "up" in listed, listed
    providers.vanish(machine)
    _, errors = process.communicate(timeout=patience(240))
    assert process.returncode == 33
    first, _, hint = errors.partition("\n\n")
    assert first == "error: the machine of `toy-tiny` is gone: runpod does not list it any more"
    step = re.fullmatch(r"hint: launch again: the run continues from step (\d+) of `again`\n", hint)[1]
    assert book(rented).alive() == []
    done = rented.launcher("launch", "--resume", "toy-tiny", "--cloud", "lambda")
    assert done.returncode == 0, done.stdout + done.stderr
    assert attempts(rented) == {"again": 2, "sum": 1}
    assert f"from step {step}\n" in rented.folder().stage("again").log.read_text()
    assert int((rented.home().export / "total.txt").read_text()) == rented.total
    assert providers.machines() == []


def test_a_launcher_that_is_killed_is_joined_by_the_next_and_ctrl_c_stops_the_run_and_ends_the_machine(
    rented, providers, lines_of
):
    process = rented.start("launch", "toy-tiny", "--cloud", "runpod", *HELD)
    held(rented, process, lines_of)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(providers.machines()) == 1 and len(book(rented).alive()) == 1
    joined = rented.start("launch", "toy-tiny", "--cloud", "runpod", *HELD)
    until(lambda: "again        running" in joined.stdout.readline(), "the run is joined", 120)
    joined.send_signal(signal.SIGINT)
    _, errors = joined.communicate(timeout=patience(240))
    assert (joined.returncode, errors) == (
        33,
        "error: stage `again` was interrupted\n\n"
        "hint: the same launch command continues the run from the last complete checkpoint\n",
    )
    assert attempts(rented) == {"again": 1, "sum": 1}
    assert (rented.folder().stage("again").work / "step_3/saved.json").is_file()
    assert providers.machines() == [] and book(rented).alive() == []
    assert sky(rented, "status").stdout.count("toy-tiny") == 0
