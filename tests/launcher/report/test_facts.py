from launcher.report.facts import Attempt, attempts


def event(time, kind, stage="train", **facts):
    return {"time": time, "event": kind, "stage": stage, **facts}


RUN = {"time": 1, "event": "run.started"}
BEGUN = [
    RUN,
    event(2, "stage.started", attempt=1),
    event(5, "stage.progress", step=3),
    event(6, "stage.progress", step=4),
]


def test_an_attempt_has_its_end_and_its_first_step():
    found = attempts([*BEGUN, event(9, "stage.finished")], False)
    assert found == [Attempt("train", 1, 2.0, 9.0, "done", 3)]


def test_one_that_was_cut_off_ends_with_the_last_word_about_it():
    again = [{"time": 50, "event": "run.started"}, event(51, "stage.started", attempt=2)]
    first, second = attempts([*BEGUN, *again, event(60, "stage.interrupted")], False)
    assert first == Attempt("train", 1, 2.0, 6.0, "lost", 3)
    assert second == Attempt("train", 2, 51.0, 60.0, "interrupted")


def test_one_that_runs_has_no_end_and_one_of_a_run_that_is_gone_has():
    assert attempts(BEGUN, True)[0].ended is None
    assert attempts(BEGUN, False)[0].ended == 6.0
    assert attempts([*BEGUN, event(8, "stage.started", attempt=2)], True)[0].state == "lost"


def test_foreign_events_are_passed_over():
    assert attempts([{}, {"event": "run.gpus", "stage": 7}, event(3, "stage.finished")], True) == []
