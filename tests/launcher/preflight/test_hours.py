import dataclasses

from launcher.preflight.cost import hours as check
from launcher.preflight.finding import OK, UNKNOWN, WARNING, Finding
from launcher.runfolder.plan import Budget, Code, Machine, Plan, Stage
from launcher.runfolder.status import status

NOTHING = Finding(
    "hours",
    UNKNOWN,
    "not known: no run of `some-7b` on such GPUs was followed from here",
    "a short trial measures it: `--run trial --set STAGE.epochs=0.01`",
)


def plan(*accelerators, run="new", steps=1000, **budget):
    stages = (Stage("model", ("python",)), Stage("train", ("python",), steps=steps))
    machine = Machine("lambda", accelerators)
    return Plan(run, "some-7b", stages, "train", Code("0"), machine, budget=Budget(**budget))


def past(*accelerators, pace=36.0, run="old"):
    events = [{"event": "stage.started", "stage": "train", "attempt": 1, "time": 0.0}]
    events += [
        {"event": "stage.progress", "stage": "train", "step": step, "steps": 9, "time": 100 + pace * step}
        for step in (1, 2, 5)
    ]
    one = plan(*accelerators, run=run)
    return one, status(one, events, False)


def test_a_plan_without_counted_steps_says_so():
    says = "the number of steps is not known before the run"
    assert check(plan("H100:8", steps=None), [], None) == Finding("hours", UNKNOWN, says)


def test_nothing_is_guessed():
    assert check(plan("H100:8"), [], (20.0, 30.0)) == NOTHING
    assert check(plan("H100:8"), [past("A100:8"), past()], None) == NOTHING
    other, seen = past("H100:8")
    assert check(plan("H100:8"), [(dataclasses.replace(other, recipe="some-3b"), seen)], None) == NOTHING


def test_the_newest_run_on_such_gpus_gives_the_pace():
    found = check(plan("H100:8", "H200:8"), [past("H100:8", pace=1.0), past("H200:8", run="newer")], (20.0, 30.0))
    says = "the training steps take about 10 h: train 1,000 steps at 36 s (run `newer`); $200.00 to $300.00"
    assert found == Finding("hours", OK, says)


def test_what_the_limits_do_not_reach_is_a_warning():
    found = check(plan("H100:8", max_cost=100), [past("H100:8")], (20.0, 20.0))
    says = "the training steps take about 10 h: train 1,000 steps at 36 s (run `old`); $200.00"
    assert found == Finding("hours", WARNING, f"{says}; the limits end it after 5 h", "raise them, or expect to resume")
    assert check(plan("H100:8", max_hours=11), [past("H100:8")], None).level == OK


def test_a_cpu_is_like_a_cpu():
    assert check(plan(), [past()], None).level == OK
