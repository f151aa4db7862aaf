"""A run stops by itself, whether or not anybody watches: when its budget is spent, and when it has stalled."""

import json
import time

import pytest

from launcher.node.limits import Limits, Stop
from launcher.runfolder.plan import Stage

AGAIN = "the run continues from the last complete checkpoint\n"
MORE = f"hint: raise `--max-cost` or `--max-hours` and launch again: {AGAIN}"


def limit(node, left=None, stall=None, reserve=0.0, reason="budget"):
    """The launch may last `left` seconds more."""
    until = None if left is None else time.time() + left
    value = {"format": 1, "until": until, "reason": reason, "stall_seconds": stall, "reserve_seconds": reserve}
    node.folder.limits.write_text(json.dumps(value))


def test_a_budget_that_is_spent_begins_nothing(toy):
    node = toy.node()
    limit(node, left=100, reserve=100)
    done = node.run()
    assert (done.returncode, done.stderr) == (
        33,
        f"error: the budget of this launch is spent: stage `sum` was not begun\n\n{MORE}",
    )
    assert [(one["event"], one["code"], one["reason"]) for one in node.events()] == [("run.ended", 33, "budget")]
    assert not (node.folder.path / "stages").exists()


def test_where_it_is_time_that_is_up_more_money_would_not_help(toy):
    node = toy.node()
    limit(node, left=100, reserve=100, reason="time")
    assert node.run().stderr == (
        "error: the time of this launch is spent: stage `sum` was not begun\n\n"
        "hint: the same launch command continues the run from the last complete checkpoint\n"
    )


def test_a_stage_is_asked_to_stop_when_the_budget_leaves_only_its_reserve_and_can_be_carried_on(toy):
    node = toy.node("sum.fault=hold@3")
    limit(node, left=1002.0, reserve=1000)
    began = time.monotonic()
    done = node.run()
    assert time.monotonic() - began >= 1.5
    assert (done.returncode, done.stderr) == (
        33,
        f"error: the budget of this launch is spent: stage `sum` was interrupted\n\n{MORE}",
    )
    assert [one["reason"] for one in node.events()[-2:]] == ["budget", "budget"]
    assert node.events("stage.checkpoint")[-1]["step"] == 3
    limit(node, left=1000)
    assert node.run().returncode == 0
    assert node.total() == toy.total


def test_a_finished_run_has_no_limits(toy):
    node = toy.node(stages="short")
    assert node.run().returncode == 0
    limit(node, left=0)
    assert node.run().returncode == 0


def test_a_run_without_progress_is_stopped_and_can_be_carried_on(toy):
    node = toy.node("sum.fault=hold@3")
    limit(node, stall=1.5)
    done = node.run()
    assert (done.returncode, done.stderr) == (
        33,
        f"error: stage `sum` has shown no progress for 1.5 s and was interrupted\n\n"
        f"hint: read {node.folder.stage('sum').log}; "
        "the same launch command continues the run from the last complete checkpoint\n",
    )
    assert [one["reason"] for one in node.events()[-2:]] == ["stalled", "stalled"]
    node.go("sum")
    assert node.run().returncode == 0
    assert node.total() == toy.total


def test_a_run_with_progress_has_not_stalled_however_long_it_takes(toy):
    node = toy.node("pause=0.2", stages="short")
    limit(node, stall=1)
    assert node.run().returncode == 0


def test_a_stage_that_begins_has_not_stalled_since_the_one_before(by_hand):
    quiet = "import time; time.sleep(1.4)"
    node = by_hand({"one": quiet, "two": quiet})
    limit(node, stall=2)
    assert node.run().returncode == 0


TALKS = """
import time
for _ in range(TIMES):
    print("still here", flush=True)
    time.sleep(0.1)
"""


def test_where_steps_are_counted_output_is_no_progress(by_hand):
    node = by_hand({"one": TALKS.replace("TIMES", "600")})
    node = by_hand({"one": Stage("one", ("python", "one.py"), steps=3)})
    limit(node, stall=1)
    assert node.run().returncode == 33
    assert node.events("run.ended")[0]["reason"] == "stalled"


def test_where_no_step_is_counted_output_is_progress(by_hand):
    node = by_hand({"one": TALKS.replace("TIMES", "25")})
    limit(node, stall=1)
    assert node.run().returncode == 0


def test_a_stalled_stage_that_ignores_the_request_is_killed_after_its_grace(by_hand):
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True)\n"
    by_hand({"one": deaf + "time.sleep(600)"})
    node = by_hand({"one": Stage("one", ("python", "one.py"), grace=1)})
    limit(node, stall=1)
    assert node.run().returncode == 33
    assert node.events("stage.interrupted")[0]["reason"] == "stalled"


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 2}', '{"format": 1, "untill": 5}'])
def test_limits_that_cannot_be_understood_are_no_permission(toy, text):
    node = toy.node()
    node.folder.limits.write_text(text)
    done = node.run()
    assert (done.returncode, done.stderr) == (
        2,
        f"error: `{node.folder.limits}` does not hold limits of format 1\n\n"
        "hint: launch again: they are written again\n",
    )


def test_a_clock_that_is_set_does_not_move_the_end(monkeypatch):
    now = time.time()
    stop = Stop(Limits(until=now + 1000), [])
    for shift in (-1e6, 1e6):
        monkeypatch.setattr(time, "time", lambda shift=shift: now + shift)
        assert stop.reason() is None
        assert 990 < stop.seconds_left() <= 1000


def test_who_asks_is_told_before_what_is_spent():
    asked = []
    stop = Stop(Limits(until=0), asked)
    assert stop.reason() == "budget"
    asked.append(15)
    assert stop.reason() == "asked"
