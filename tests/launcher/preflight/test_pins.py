import dataclasses

from launcher.node.records import Code, Model, Plan
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.preflight.pins import check

LOCKED = Plan("run", "some-7b", (), "one", Code("0" * 64), models={"a": Model("who/what", "main", "a" * 40)})
LOOSE = dataclasses.replace(LOCKED, models={"a": Model("who/what", "main", None), "b": Model("x/y", "v1", None)})


def test_a_revision_that_is_not_locked_is_refused_where_a_machine_is_paid_and_warned_of_here():
    says, hint = "not locked to a commit: who/what@main, x/y@v1", "run `launcher lock some-7b` and commit the lock file"
    assert check(LOOSE, paid=True) == Finding("pins", REFUSED, says, hint)
    assert check(LOOSE, paid=False) == Finding("pins", WARNING, says, hint)


def test_code_that_is_not_committed_is_warned_of():
    assert check(dataclasses.replace(LOCKED, code=Code("0" * 64, dirty=True)), paid=True) == Finding(
        "pins",
        WARNING,
        "the recipes' code has changes that are not committed",
        "commit them, so that the run can be repeated",
    )


def test_a_run_that_can_be_repeated_is_fine():
    assert check(LOCKED, paid=True) == Finding("pins", OK, "1 pins, code 000000000000")
