"""Signals and kills at every process of a run: nothing is lost, nothing is left behind, nothing runs twice."""

import os
import signal
import time

import pytest

from launcher.runfolder.processes import descendants
from tests.support.patience import patience

SAVE_EVERY = 2


def running(node, process, until):
    """The guard and the trainer of the stage that runs now."""
    return until(lambda: len(found := descendants(process.pid)) >= 2 and found, "the stage's processes")


def held(toy, stage, step):
    """A node program, and its process, whose stage has come to a step and waits there."""
    node = toy.node(f"{stage}.fault=hold@{step}", f"save_every={SAVE_EVERY}")
    process = node.start(start_new_session=True)
    node.at_step(stage, step)
    return node, process


def complete(node, toy):
    """The same command completes the run as if nothing had been; nothing done was redone."""
    proofs = {name: node.folder.stage(name).done for name in ("sum", "again")}
    before = {name: path.read_bytes() for name, path in proofs.items() if path.exists()}
    node.go("sum", "again")
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert node.total() == toy.total
    for name, proof in before.items():
        assert proofs[name].read_bytes() == proof
    for name, steps in (("sum", 8), ("again", 16)):
        found = node.steps(name)
        assert sorted(set(found)) == list(range(1, steps + 1))
        assert len(found) <= steps + SAVE_EVERY


@pytest.mark.parametrize(("stage", "step"), [("sum", 1), ("sum", 4), ("again", 9)])
def test_a_node_program_asked_to_stop_checkpoints_and_the_same_command_completes(toy, stage, step):
    node, process = held(toy, stage, step)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=patience(90))
    assert (process.returncode, errors) == (
        33,
        f"error: stage `{stage}` was interrupted\n\n"
        "hint: the same launch command continues the run from the last complete "
        "checkpoint\n",
    )
    assert (node.events()[-1]["code"], node.events()[-1]["reason"]) == (33, "asked")
    before = node.steps(stage)
    complete(node, toy)
    # asked, the trainer saved what it had done: no step at all was repeated
    assert node.steps(stage)[: len(before)] == before
    assert node.steps(stage)[len(before)] == before[-1] + 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_hang_up_and_a_control_c_are_requests_to_stop(toy, number):
    node, process = held(toy, "sum", 3)
    process.send_signal(number)
    process.communicate(timeout=patience(90))
    assert process.returncode == 33
    complete(node, toy)


@pytest.mark.parametrize(
    ("victim", "stage", "step"),
    [
        ("trainer", "sum", 5),
        ("trainer", "again", 8),
        ("guard", "again", 7),
        ("node", "sum", 1),
        ("node", "again", 9),
        ("group", "sum", 6),
    ],
)
def test_whoever_is_killed_whenever_the_same_command_completes(toy, until, alive, victim, stage, step):
    node, process = held(toy, stage, step)
    guard, trainer = running(node, process, until)
    if victim == "group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill({"trainer": trainer, "guard": guard, "node": process.pid}[victim], signal.SIGKILL)
    process.communicate(timeout=patience(90))
    assert process.returncode == (3 if victim in ("trainer", "guard") else -signal.SIGKILL)
    until(lambda: not alive(guard) and not alive(trainer), "the end of what the node program started")
    complete(node, toy)


def test_a_kill_between_two_stages_redoes_neither(toy, until):
    node = toy.node("again.fault=hold@1")
    process = node.start()
    until(node.folder.stage("sum").done.exists, "the first stage's end")
    process.kill()
    process.communicate(timeout=patience(90))
    complete(node, toy)
    assert node.folder.stage("sum").attempts.read_text() == "1"


def test_a_request_to_stop_while_another_is_served_changes_nothing(toy):
    node, process = held(toy, "sum", 3)
    for _ in range(20):
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=patience(90))
    assert process.returncode == 33
    complete(node, toy)


LAST_WORD = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(f"/proc/{os.getppid()}/stat") as guard:
    os.kill(int(guard.read().rpartition(")")[2].split()[1]), signal.SIGTERM)
"""


def test_a_request_to_stop_that_comes_with_a_stage_s_end_keeps_its_result_and_starts_no_other(by_hand):
    node = by_hand({"one": LAST_WORD, "two": ""})
    done = node.run()
    assert (done.returncode, done.stderr) == (
        33,
        "error: the run was asked to stop\n\nhint: the same launch command continues the run\n",
    )
    assert node.folder.stage("one").done.exists()
    assert not node.folder.stage("two").path.exists()
    assert node.run().returncode == 0
    assert node.folder.stage("one").attempts.read_text() == "1"


FAMILY = """
import os, signal, subprocess, sys, time

def deaf(name):
    "A process that ignores every polite signal, and writes down who it is."
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    path = os.path.join(sys.argv[1], name)
    with open(path + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".part", path)
    time.sleep(600)
    os._exit(0)

if os.fork() == 0:                      # a child
    deaf("child")
if os.fork() == 0:                      # a grandchild whose parent is gone
    if os.fork() == 0:
        deaf("orphan")
    os._exit(0)
os.wait()
if os.fork() == 0:                      # a daemon by the book: a session of its own, forked twice
    os.setsid()
    if os.fork() == 0:
        deaf("daemon")
    os._exit(0)
os.wait()
if os.fork() == 0:                      # a child that starts more as soon as one dies
    while True:
        child = os.fork()
        if child == 0:
            deaf("spawned")
        os.waitpid(child, 0)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
"""
NAMES = ["child", "daemon", "orphan", "spawned"]


def family(by_hand, end, grace=60):
    from launcher.runfolder.plan import Stage

    node = by_hand({"one": FAMILY + end})
    if grace != 60:
        node = by_hand({"one": Stage("one", ("python", "one.py", "{work}", "{out}"), grace=grace)})
    return node


def born(node, process, until):
    work = node.folder.stage("one").work
    until(lambda: all((work / name).exists() for name in NAMES), "the birth of the whole family")
    return until(lambda: len(found := descendants(process.pid)) >= len(NAMES) + 3 and found, "the family's processes")


def gone(processes, until, alive):
    until(lambda: not any(alive(one) for one in processes), "the end of the whole family")


@pytest.mark.parametrize("victim", ["trainer", "guard", "node", "group"])
def test_nothing_that_a_stage_started_outlives_a_kill(by_hand, until, alive, victim):
    node = family(by_hand, "deaf('main')")
    process = node.start(start_new_session=True)
    everyone = born(node, process, until)
    guard, trainer = everyone[:2]
    if victim == "group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill({"trainer": trainer, "guard": guard, "node": process.pid}[victim], signal.SIGKILL)
    process.communicate(timeout=patience(90))
    gone(everyone, until, alive)


def test_nothing_that_a_stage_started_outlives_its_success(by_hand, until, alive):
    node = family(
        by_hand,
        "open(sys.argv[1] + '/ready', 'w').close()\nwhile not os.path.exists(sys.argv[1] + '/go'): time.sleep(0.01)\n",
    )
    process = node.start()
    everyone = born(node, process, until)
    (node.folder.stage("one").work / "go").touch()
    process.communicate(timeout=patience(90))
    assert process.returncode == 0
    gone(everyone, until, alive)


def test_a_stage_that_ignores_the_request_is_killed_after_its_grace(by_hand, until, alive):
    node = family(by_hand, "deaf('main')", grace=1)
    process = node.start()
    everyone = born(node, process, until)
    until((node.folder.stage("one").work / "main").exists, "the stage itself, which ignores the request from now on")
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=patience(90))
    assert process.returncode == 33
    assert time.monotonic() - asked >= 1.0
    gone(everyone, until, alive)
    assert node.events()[-2]["error"] == "stage `one` was interrupted"


def test_a_second_node_program_on_the_same_folder_refuses(toy):
    node, process = held(toy, "sum", 1)
    done = node.impatient()
    assert (done.returncode, done.stderr) == (
        2,
        f"error: another node program works on `{node.folder.path}`\n\nhint: `launcher status` shows it\n",
    )
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=patience(90))
    assert len(node.events("run.started")) == 1
    assert node.steps("sum") == list(range(1, len(node.steps("sum")) + 1))


def test_an_orphan_that_holds_the_lock_keeps_a_second_node_program_away(by_hand, until, alive):
    """Node program and guard are killed at once, so that nobody is left to end what the stage started."""
    from launcher.runfolder.lock import holder

    node = by_hand({"one": FAMILY + "deaf('main')"})
    process = node.start()
    everyone = born(node, process, until)
    os.kill(process.pid, signal.SIGSTOP)  # it must not see its guard die first
    os.kill(everyone[0], signal.SIGKILL)
    process.kill()
    process.communicate(timeout=patience(90))
    left = [one for one in everyone if alive(one)]
    try:
        until(lambda: not alive(everyone[1]), "the stage's end, which follows its guard's")
        assert holder(node.folder.lock) == process.pid
        done = node.impatient()
        assert (done.returncode, done.stderr) == (
            2,
            f"error: another node program works on `{node.folder.path}`\n\nhint: `launcher status` shows it\n",
        )
    finally:
        for one in left:
            if alive(one):
                os.kill(one, signal.SIGKILL)
    until(lambda: holder(node.folder.lock) is None, "the lock's release")
