"""The page of a run, exactly, at 80 columns."""

import pytest

from launcher.report.status_lines import RunFacts
from launcher.runfolder.plan import Code, Plan, Stage
from launcher.runfolder.status import status
from launcher.ui import console
from launcher.ui.run_page import line, page

PLAN = Plan(
    "gad-7b",
    "gad-7b",
    (Stage("model", ("a",)), Stage("adversarial", ("a",), steps=4408), Stage("convert", ("a",))),
    "convert",
    Code("t"),
)
RENTED = RunFacts("runpod", rented=True, paid=True, spent=12.4, price=21.6, max_cost=300, stall_seconds=3600)
LONG = "d_acc is [0.97]: the discriminator tells the teacher by its format, so that its reward says little"
BEGUN = [
    {"time": 0, "event": "run.started"},
    {"time": 0, "event": "stage.started", "stage": "model", "attempt": 1},
    {"time": 61, "event": "stage.finished", "stage": "model"},
    {"time": 61, "event": "stage.started", "stage": "adversarial", "attempt": 1},
]


def progress(time, step, **metrics):
    return {"time": time, "event": "stage.progress", "stage": "adversarial", "step": step, "metrics": metrics}


TRAINING = [
    *BEGUN,
    progress(100, 1000, **{"actor/loss": 8.0, "critic/d_acc": 0.5, "mode": "warm", "kl": 0, "time/step": 5}),
    progress(2600, 1500, **{"actor/loss": 2.0, "critic/d_acc": 0.75, "kl": 0.25}),
    {"time": 5040, "event": "stage.checkpoint", "stage": "adversarial", "step": 1950, "name": "step_1950"},
    {"time": 5050, "event": "stage.stored", "stage": "adversarial", "step": 1950, "kind": "checkpoint"},
    progress(5100, 2000, **{"actor/loss": 1.23456, "critic/d_acc": 1.0, "kl": 0.125, "perf/throughput": 4321.5}),
    {"time": 5100, "event": "run.gpus", "name": "NVIDIA H100 80GB HBM3", "total": 81559, "used": [64123], "busy": [87]},
    {"time": 5100, "event": "stage.warning", "stage": "adversarial", "warning": LONG},
    {"time": 5101, "event": "stage.warning", "stage": "adversarial", "warning": LONG},
]
TABLE = [
    "stage        state           step    time    left",
    "model        done                  1m 01s",
    "adversarial  running  2,000/4,408  1h 23m  3h 20m",
    "convert      waiting",
]
CURVES = [
    "",
    "adversarial  loss   █▁▁  1.235",
    "             d_acc  ▁▅█  1",
    "             kl     ▁█▅  0.125",
]


@pytest.fixture
def shown(capsys, monkeypatch):
    """The lines of a page on a screen of 80 columns, without the blanks at their ends."""
    monkeypatch.setattr(console.out, "_width", 80)

    def lines(events, running=True, outside=RENTED, now=5100):
        console.draw(page(status(PLAN, events, running), outside, now))
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return lines


def test_a_running_run_says_how_far_it_is_what_it_costs_and_what_is_at_risk(shown):
    assert shown(TRAINING) == [
        "run gad-7b  running on runpod, 1h 25m",
        *TABLE,
        *CURVES,
        "",
        "speed    5 s a step, 4,322 tokens/s a GPU",
        "gpus     1 x NVIDIA H100 80GB HBM3: 62.6 of 79.6 GiB, 87 % busy",
        "cost     $12.40 of $300.00 so far, $21.60 an hour",
        "at risk  last safe checkpoint step 1,950, 1m 00s ago, $0.36 of work not saved",
        "warning  adversarial: d_acc is [0.97]: the discriminator tells the teacher by",
        "         its format, so that its reward says little",
    ]


def test_curves_that_end_alike_are_told_apart(shown):
    numbers = {"val/accuracy": 0.5, "val/lies/accuracy": 0.25, "loss": 1.0, "train/loss": 2.0}
    lines = shown([*BEGUN, progress(100, 1, **numbers), progress(200, 2, **numbers)])
    named = [line.split()[-3] for line in lines if "▄▄" in line]
    assert named == ["loss", "train/loss", "val/accuracy", "lies/accuracy"], lines


def test_a_run_that_stands_still_says_for_how_long(shown):
    lines = shown(TRAINING[:-2], now=5100 + 2520)
    assert lines[-2:] == [
        "at risk  last safe checkpoint step 1,950, 43m 00s ago, $15.48 of work not saved",
        "quiet    no step for 42m 00s; the run is stopped after 1h 00m",
    ]


def test_an_interrupted_run_says_what_is_done_again(shown):
    ended = [
        *TRAINING[:-2],
        {"time": 5200, "event": "stage.interrupted", "stage": "adversarial", "code": 33},
        {"time": 5200, "event": "run.ended", "code": 33, "error": "e", "hint": "h", "reason": "budget"},
    ]
    lines = shown(ended, False, RunFacts("runpod", rented=True, paid=True, spent=30.0), 99999)
    assert lines == [
        "run gad-7b  interrupted on runpod, 1h 26m",
        "stage        state               step    time  left",
        "model        done                      1m 01s",
        "adversarial  interrupted  2,000/4,408  1h 25m",
        "convert      waiting",
        *CURVES,
        "",
        "cost     $30.00 so far",
        "at risk  last safe checkpoint step 1,950; 50 later steps are repeated",
    ]


def test_a_finished_run_shows_the_curves_of_its_last_training(shown):
    ended = [
        *TRAINING[:-2],
        {"time": 6000, "event": "stage.finished", "stage": "adversarial"},
        {"time": 6000, "event": "stage.started", "stage": "convert", "attempt": 1},
        {"time": 6030, "event": "stage.progress", "stage": "convert", "step": 27, "steps": 27, "metrics": {}},
        {"time": 6030, "event": "stage.finished", "stage": "convert"},
        {"time": 6030, "event": "run.finished"},
    ]
    lines = shown(ended, False, RunFacts(), 99999)
    assert lines == [
        "run gad-7b  finished on local, 1h 40m",
        "stage        state         step    time  left",
        "model        done                1m 01s",
        "adversarial  done   2,000/4,408  1h 38m",
        "convert      done         27/27     30s",
        *CURVES,
    ]


def test_a_run_that_has_not_begun_is_a_heading_and_its_stages(shown):
    assert shown([], False, RunFacts()) == [
        "run gad-7b  planned on local",
        "stage        state       step  time  left",
        "model        waiting",
        "adversarial  waiting  0/4,408",
        "convert      waiting",
    ]


def test_no_line_is_longer_than_the_screen(shown):
    wide = {f"{'deep/' * 20}loss_{number}": float(number) for number in range(9)}
    said = [*TRAINING, progress(5200, 2100, **wide), {"time": 5300, "event": "run.warning", "warning": "x" * 200}]
    assert max(map(len, shown(said, outside=RunFacts("runpod,lambda,kubernetes" * 5, rented=True)))) <= 80


def test_a_stage_is_one_line_in_a_pipe():
    stage = status(PLAN, TRAINING, True).stages[1]
    assert line(stage) == "adversarial  running 2000/4408  loss 1.235 d_acc 1 kl 0.125"
    assert line(status(PLAN, BEGUN, True).stages[0]) == "model        done"
