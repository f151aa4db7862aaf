"""What is worth storing follows from the plan and the events alone."""

import pytest

from launcher.runfolder.plan import Code, Plan, Stage
from launcher.runfolder.retention import Artifact, artifacts, needed

MODEL = Stage("model", ("a",))
WARMUP = Stage("warmup", ("a",), {"model": "model"}, steps=10)
MAIN = Stage("main", ("a",), {"model": "model", "student": "warmup"}, steps=10)
CONVERT = Stage("convert", ("a",), {"student": "main"})
VERIFY = Stage("verify", ("a",), {"converted": "convert"})
PLAN = Plan("run", "some-tiny", (MODEL, WARMUP, MAIN, CONVERT, VERIFY), "convert", Code("t"))


def begun(name, attempt=1):
    return {"time": 1, "event": "stage.started", "stage": name, "attempt": attempt}


def saved(name, step, time=2):
    return {"time": time, "event": "stage.checkpoint", "stage": name, "name": f"step_{step}", "step": step}


def done(name, time=3):
    return {"time": time, "event": "stage.finished", "stage": name}


def skipped(name, time=9):
    return {"time": time, "event": "stage.skipped", "stage": name}


START, END = {"time": 0, "event": "run.started"}, {"time": 20, "event": "run.finished"}
PREPARED = [START, begun("model"), done("model"), begun("warmup"), saved("warmup", 2), saved("warmup", 4)]
WARM = [*PREPARED, done("warmup")]
TRAINED = [*WARM, begun("main"), saved("main", 2), done("main")]
CONVERTED = [*TRAINED, begun("convert"), done("convert")]
ALL = [*CONVERTED, begun("verify"), done("verify"), END]


def paths(events, plan=PLAN):
    return [one.path.removeprefix("stages/") for one in artifacts(plan, events)]


PROOFS = ["model/done.json", "warmup/done.json", "main/done.json", "convert/done.json"]


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([], []),
        ([START, begun("model")], []),
        (PREPARED[:-1], ["model/out", "model/done.json", "warmup/work/step_2"]),
        (PREPARED, ["model/out", "model/done.json", "warmup/work/step_4"]),
        (WARM, ["model/out", "model/done.json", "warmup/out", "warmup/done.json"]),
        ([*WARM, begun("main"), saved("main", 2)], [*paths(WARM), "main/work/step_2"]),
        (TRAINED, ["model/done.json", "warmup/done.json", "main/out", "main/done.json"]),
        (CONVERTED, [*PROOFS[:3], "convert/out", "convert/done.json"]),
        (ALL, [*PROOFS, "verify/out", "verify/done.json", "export", "manifest.json"]),
    ],
)
def test_what_is_kept_is_what_a_fresh_machine_would_need_in_the_order_of_storing(events, wanted):
    assert paths(events) == wanted


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([*PREPARED, START, skipped("model"), begun("warmup", 2)], paths(PREPARED)),
        (
            [*PREPARED, START, skipped("model"), begun("warmup", 2), saved("warmup", 6)],
            [*paths(WARM)[:2], "warmup/work/step_6"],
        ),
        ([*WARM, START], paths(WARM)),
        ([*WARM, START, skipped("model"), skipped("warmup")], paths(WARM)),
    ],
)
def test_a_run_that_is_started_again_needs_what_it_needed(events, wanted):
    assert paths(events) == wanted


def test_a_stage_that_is_done_again_takes_its_followers_with_it_and_what_it_needs_is_needed_again():
    again = [*ALL, START, skipped("model"), begun("warmup")]
    assert paths(again) == ["model/out", "model/done.json"]
    assert paths([*again, saved("warmup", 2)])[-1] == "warmup/work/step_2"


def test_a_stage_beside_those_that_are_done_again_stays():
    beside = Plan("run", "r", (WARMUP, Stage("beside", ("a",)), MAIN), "main", Code("t"))
    events = [START, done("warmup"), done("beside"), done("main"), START, begun("warmup")]
    assert paths(events, beside) == ["beside/done.json"]


def test_a_checkpoint_and_a_result_say_when_they_became_what_they_are():
    found = artifacts(PLAN, [*WARM, START, skipped("model"), skipped("warmup"), begun("main"), saved("main", 2, 11)])
    assert found[0] == Artifact("stages/model/out", "result", "model", None, 3)
    assert found[-1] == Artifact("stages/main/work/step_2", "checkpoint", "main", 2, 11)
    assert [one.kind for one in artifacts(PLAN, ALL)][-4:] == ["result", "proof", "export", "manifest"]
    assert artifacts(PLAN, ALL)[-1] == Artifact("manifest.json", "manifest", None, None, 20)


def test_stages_of_another_plan_and_foreign_lines_are_passed_over():
    assert paths([*WARM, begun("other"), saved("other", 2), done("other"), {}, {"event": "run.stored"}]) == paths(WARM)


def test_a_result_is_needed_as_long_as_a_stage_that_is_not_done_reads_it():
    assert needed(PLAN, []) == {"model", "warmup", "main", "convert", "verify"}
    assert needed(PLAN, ["model", "warmup", "main"]) == {"main", "convert", "verify"}
    assert needed(PLAN, [stage.name for stage in PLAN.stages]) == {"convert", "verify"}
