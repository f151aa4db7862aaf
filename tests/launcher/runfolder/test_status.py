import pytest

from launcher.runfolder.plan import Code, Plan, Stage
from launcher.runfolder.status import status

PLAN = Plan(
    "run", "some-tiny", (Stage("one", ("a",), steps=10), Stage("two", ("b",), {"one": "one"})), "two", Code("t")
)
BEGUN = [
    {"time": 100, "event": "run.started", "run": "run"},
    {"time": 101, "event": "stage.started", "stage": "one", "attempt": 1, "steps": 10},
]


def progress(time, step, **metrics):
    return {"time": time, "event": "stage.progress", "stage": "one", "step": step, "steps": 10, "metrics": metrics}


def states(events, running=True):
    found = status(PLAN, events, running)
    return found.state, [stage.state for stage in found.stages]


FINISHED = [
    *BEGUN,
    {"time": 120, "event": "stage.finished", "stage": "one"},
    {"time": 121, "event": "stage.started", "stage": "two", "attempt": 1},
    {"time": 130, "event": "stage.finished", "stage": "two"},
    {"time": 131, "event": "run.finished"},
]
FAILED = [
    *BEGUN,
    {"time": 102, "event": "stage.failed", "stage": "one", "code": 3, "error": "e", "hint": "h"},
    {"time": 102, "event": "run.ended", "code": 3, "error": "e", "hint": "h"},
]
STOPPED = [
    *BEGUN,
    {"time": 102, "event": "stage.interrupted", "stage": "one", "code": 33},
    {"time": 102, "event": "run.ended", "code": 33, "error": "e", "hint": "h"},
]


@pytest.mark.parametrize(
    ("events", "running", "state", "stages"),
    [
        ([], False, "planned", ["waiting", "waiting"]),
        ([], True, "running", ["waiting", "waiting"]),
        (BEGUN, True, "running", ["running", "waiting"]),
        (BEGUN, False, "lost", ["interrupted", "waiting"]),
        (FINISHED, False, "finished", ["done", "done"]),
        (FINISHED, True, "finished", ["done", "done"]),
        (FAILED, False, "failed", ["failed", "waiting"]),
        (FAILED, True, "running", ["failed", "waiting"]),
        (STOPPED, False, "interrupted", ["interrupted", "waiting"]),
        ([*FAILED, *BEGUN], True, "running", ["running", "waiting"]),
        (
            [*STOPPED, {"time": 200, "event": "run.started"}, {"time": 201, "event": "stage.skipped", "stage": "one"}],
            True,
            "running",
            ["done", "waiting"],
        ),
    ],
)
def test_a_run_s_state_follows_from_its_events_and_whether_its_process_lives(events, running, state, stages):
    assert states(events, running) == (state, stages)


def test_a_run_that_failed_says_why_until_it_runs_again():
    found = status(PLAN, FAILED, False)
    assert (found.code, found.error, found.hint) == (3, "e", "h")
    for again in (status(PLAN, [*FAILED, *BEGUN], True), status(PLAN, FAILED, True)):
        assert (again.code, again.error, again.hint) == (None, None, None)


def test_a_run_that_was_interrupted_says_for_what_reason():
    stopped = [*BEGUN, {"time": 102, "event": "run.ended", "code": 33, "error": "e", "hint": "h", "reason": "budget"}]
    assert status(PLAN, stopped, False).reason == "budget"
    assert status(PLAN, FAILED, False).reason is None
    assert status(PLAN, [*stopped, *BEGUN], True).reason is None


def test_what_was_said_about_the_whole_run_counts_until_all_of_it_is_stored():
    said = [{"time": 99, "event": "run.warning", "warning": "no answer"}, *BEGUN]
    assert status(PLAN, said, True).warnings == ("no answer",)
    assert status(PLAN, [*said, {"time": 130, "event": "run.stored"}], True).warnings == ()


def test_a_stage_knows_its_last_step_its_last_checkpoint_and_its_warnings():
    events = [
        *BEGUN,
        progress(110, 4, loss=1.5),
        {"time": 111, "event": "stage.checkpoint", "stage": "one", "name": "step_4", "step": 4},
        {"time": 111, "event": "stage.warning", "stage": "one", "warning": "d_acc is 0.97"},
        progress(112, 5, loss=1.25),
    ]
    one = status(PLAN, events, True).stages[0]
    assert (one.step, one.safe_step, one.metrics, one.warnings) == (5, 4, {"loss": 1.25}, ("d_acc is 0.97",))
    assert one.seconds(121) == 20
    assert status(PLAN, FINISHED, False).stages[0].seconds(999) == 19
    assert status(PLAN, [], False).stages[0].seconds(999) is None


@pytest.mark.parametrize(
    ("events", "now", "left"),
    [
        ([progress(110, 1)], 110, None),
        ([progress(110, 1), progress(112, 1)], 112, None),
        ([progress(110, 1), progress(114, 3)], 114, 14.0),
        ([progress(110, 1), progress(112, 2), progress(114, 3)], 115, 13.0),
        ([progress(110, 1), progress(114, 3)], 999, 0.0),
        ([progress(110, 1), progress(114, 3), {"time": 115, "event": "stage.finished", "stage": "one"}], 115, None),
        (
            [
                progress(110, 1),
                progress(114, 9),
                {"time": 200, "event": "stage.started", "stage": "one", "attempt": 2},
                progress(210, 8),
                progress(214, 9),
            ],
            214,
            4.0,
        ),
    ],
)
def test_what_is_left_follows_this_attempt_s_pace(events, now, left):
    assert status(PLAN, [*BEGUN, *events], True).stages[0].remaining(now) == left


def test_a_stage_without_steps_has_no_time_left_to_tell():
    assert status(PLAN, FINISHED[:4], True).stages[1].remaining(130) is None


def test_a_stage_done_again_from_the_start_claims_nothing_of_its_first_time():
    first = [*BEGUN, progress(110, 9, loss=1.0), {"event": "stage.checkpoint", "stage": "one", "step": 8}]
    done = [*first, {"time": 120, "event": "stage.finished", "stage": "one"}]
    again = status(PLAN, [*done, *BEGUN], True).stages[0]
    assert (again.step, again.safe_step, again.metrics) == (0, None, {})
    second = {"time": 200, "event": "stage.started", "stage": "one", "attempt": 2}
    resumed = status(PLAN, [*first, second], True).stages[0]
    assert (resumed.step, resumed.safe_step, resumed.attempt) == (9, 8, 2)


@pytest.mark.parametrize(
    ("hint", "helps"),
    [
        ("do it", "do it"),
        ("read log.txt; again", "`launcher doctor run` names the cause; or read log.txt; again"),
        (None, ""),
    ],
)
def test_where_the_hint_is_to_read_something_the_doctor_reads_it(hint, helps):
    ended = [*BEGUN, {"time": 102, "event": "run.ended", "code": 3, "error": "e", "hint": hint}]
    assert status(PLAN, ended, False).full_hint == helps


def test_every_step_is_remembered_as_it_was_reported_last():
    events = [*BEGUN, progress(110, 4, a=1.0), progress(111, 5, a=2.0)]
    again = [*events, {"time": 200, "event": "stage.started", "stage": "one", "attempt": 2}, progress(210, 5, a=3.0)]
    assert status(PLAN, again, True).stages[0].history == {4: {"a": 1.0}, 5: {"a": 3.0}}
    assert status(PLAN, [*events, *BEGUN], True).stages[0].history == {}


def test_a_checkpoint_that_was_stored_is_known_by_its_step():
    def point(step):
        return {"time": step, "event": "stage.checkpoint", "stage": "one", "name": f"at_{step}", "step": step}

    stored = {"time": 9, "event": "stage.stored", "stage": "one", "kind": "checkpoint", "step": 2}
    one = status(PLAN, [*BEGUN, point(2), point(4), stored, {**stored, "kind": "result", "step": 4}], True).stages[0]
    assert (one.stored, one.safe_step) == (("at_2", 2, 2.0), 4)
    assert status(PLAN, [*BEGUN, stored], True).stages[0].stored is None


def test_a_later_stage_waits_while_an_earlier_one_is_done_again():
    assert states([*FINISHED, *BEGUN]) == ("running", ["running", "waiting"])


def test_the_current_stage_is_the_first_that_is_not_done():
    assert status(PLAN, BEGUN, True).current.name == "one"
    assert status(PLAN, FINISHED[:3], True).current.name == "two"
    assert status(PLAN, FINISHED, False).current is None


def test_foreign_events_are_passed_over():
    foreign = [{"event": "new.kind"}, {"stage": "one"}, {"event": "stage.started", "stage": "gone", "attempt": 1}, {}]
    assert states([*BEGUN, *foreign]) == states(BEGUN)
