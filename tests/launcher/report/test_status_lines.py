"""What is said of a run from its events and from what is known besides."""

import math

import pytest

from launcher.report.status_lines import RunFacts, at_risk, cost, curve, gpus, main_metrics, quiet, speed
from launcher.runfolder.plan import Code, Plan, Stage
from launcher.runfolder.status import status

PLAN = Plan("run", "some-tiny", (Stage("model", ("a",)), Stage("train", ("b",), steps=1000)), "train", Code("t"))
RENTED = RunFacts("runpod", rented=True, paid=True, spent=12.4, price=7.2, max_cost=100, stall_seconds=3600)


def at(time, kind, stage="train", **facts):
    return {"time": time, "event": f"stage.{kind}", "stage": stage, **facts}


def step(time, number, **metrics):
    return at(time, "progress", step=number, steps=1000, metrics=metrics)


def point(time, number):
    return at(time, "checkpoint", step=number, name=f"step_{number}")


STARTED = [
    {"time": 0, "event": "run.started"},
    at(0, "started", "model", attempt=1),
    at(10, "finished", "model"),
    at(10, "started", attempt=1),
]
TRAINED = [*STARTED, step(110, 100), step(200, 400), point(200, 400), step(260, 450)]


def now(events, running=True):
    return status(PLAN, events, running)


@pytest.mark.parametrize(
    ("events", "outside", "says"),
    [
        (TRAINED, RunFacts(), "last safe checkpoint step 400, 3m 20s ago, 50 steps not saved"),
        (STARTED, RunFacts(), "no safe checkpoint yet, 6m 30s, 0 steps not saved"),
        (STARTED, RENTED, "no safe checkpoint yet, 6m 30s, $0.78 of work not saved"),
        (TRAINED, RENTED, "no safe checkpoint yet, 6m 30s, $0.78 of work not saved"),
        (STARTED[:2], RunFacts(), ""),
        (STARTED[:2], RENTED, "no safe checkpoint yet, 6m 40s, $0.80 of work not saved"),
        ([], RENTED, ""),
        ([*TRAINED, at(300, "finished")], RENTED, ""),
        (TRAINED, RunFacts("runpod", rented=True), "no safe checkpoint yet, 6m 30s, 450 steps not saved"),
    ],
)
def test_what_is_at_risk_counts_from_the_last_checkpoint_that_outlives_the_machine(events, outside, says):
    assert at_risk(now(events), outside, 400) == says


def test_on_a_rented_machine_a_checkpoint_is_safe_once_a_bucket_or_this_machine_has_it():
    kept = [*TRAINED, {**at(210, "stored", step=400), "kind": "checkpoint"}, point(300, 500)]
    says = "last safe checkpoint step 400, 3m 20s ago, $0.40 of work not saved"
    assert at_risk(now(kept), RENTED, 400) == says
    brought = {"stages/train/work/step_500": 300}
    copied = RunFacts("runpod", rented=True, price=7.2, copies=brought)
    assert at_risk(now(kept), copied, 400) == "last safe checkpoint step 500, 1m 40s ago, $0.20 of work not saved"
    earlier = RunFacts("runpod", rented=True, price=7.2, copies={"stages/train/work/step_500": 299})
    assert at_risk(now(kept), earlier, 400) == says  # an earlier one of that name
    assert at_risk(now([*TRAINED, at(210, "stored", step=400)]), RENTED, 400).startswith("no safe checkpoint")


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (TRAINED, "last safe checkpoint step 400; 50 later steps are repeated"),
        ([*STARTED, step(110, 100)], "no safe checkpoint yet: the stage starts from its beginning"),
    ],
)
def test_of_a_run_that_does_not_run_it_says_what_is_done_again(events, says):
    assert at_risk(now(events, running=False), RunFacts(), 9999) == says


@pytest.mark.parametrize(
    ("outside", "says"),
    [
        (RunFacts(), ""),
        (RENTED, "$12.40 of $100.00 so far, $7.20 an hour"),
        (RunFacts("lambda", rented=True, paid=True, spent=3.0), "$3.00 so far"),
        (RunFacts("lambda", rented=True, paid=True), "price unknown"),
        (RunFacts("lambda", rented=True), ""),
    ],
)
def test_what_it_costs(outside, says):
    assert cost(outside) == says


@pytest.mark.parametrize(
    ("events", "at", "says"),
    [
        (TRAINED, 500, ""),
        (TRAINED, 260 + 2520, "no step for 42m 00s; the run is stopped after 1h 00m"),
        (STARTED, 1000, ""),
        (STARTED, 1300, "no step for 21m 30s; the run is stopped after 1h 00m"),
        ([*STARTED, step(10, 1), step(1010, 2)], 5000, ""),
        ([*STARTED, step(10, 1), step(1010, 2)], 6100, "no step for 1h 24m; the run is stopped after 1h 00m"),
        (STARTED[:2], 99999, ""),
        ([*TRAINED, at(300, "interrupted")], 99999, ""),
    ],
)
def test_a_stage_is_quiet_once_that_is_longer_than_its_own_pace_explains(events, at, says):
    assert quiet(now(events).current, RENTED, at) == says


def test_where_nothing_ends_a_standstill_no_end_is_promised():
    assert quiet(now(TRAINED).current, RunFacts(), 1000) == "no step for 12m 20s"
    assert quiet(None, RENTED, 0) == ""


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ({}, "2 s a step"),
        ({"train/tokens_per_second": 12345.6}, "2 s a step, 12,346 tokens/s"),
        ({"tokens/s": 10}, "2 s a step, 10 tokens/s"),
        ({"perf/throughput": 987.6}, "2 s a step, 988 tokens/s a GPU"),
        ({"perf/throughput": math.nan, "tokens_per_sec": 5}, "2 s a step, 5 tokens/s"),
        ({"tokens_per_sample": 5}, "2 s a step"),
    ],
)
def test_speed_is_steps_and_tokens_where_they_are_reported(metrics, says):
    assert speed(now([*STARTED, step(20, 1), step(40, 11, **metrics)]).current) == says


def test_the_fullest_gpu_counts():
    said = {"time": 50, "event": "run.gpus", "name": "H100", "total": 81559, "used": [64123, 1200], "busy": [97, 1]}
    assert gpus(now([*STARTED, said])) == "2 x H100: 62.6 of 79.6 GiB on the fullest, 49 % busy"
    one = {**said, "used": [1024], "busy": [100]}
    assert gpus(now([*STARTED, one])) == "1 x H100: 1.0 of 79.6 GiB, 100 % busy"
    assert gpus(now([*STARTED, said], running=False)) == ""
    assert gpus(now(STARTED)) == gpus(now([*STARTED, said, {"time": 60, "event": "run.started"}])) == ""


def test_losses_come_before_what_says_how_and_not_how_it_goes():
    metrics = {"seconds": 1, "critic/lr": 1, "kl": 0, "reward": 1, "a": 2, "mode": "x", "actor/loss": 1, "perf/mfu": 1}
    assert main_metrics(metrics) == ["actor/loss", "reward", "kl", "a"]


def test_a_curve_is_in_the_order_of_its_steps():
    stage = now([*STARTED, step(20, 2, a=2.0), step(21, 3), step(22, 1, a=1.0), step(23, 2, a=5.0)]).stages[1]
    assert curve(stage, "a") == [1.0, 5.0]
