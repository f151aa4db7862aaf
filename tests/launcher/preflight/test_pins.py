import dataclasses

from launcher.preflight.access import pins as check
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.runfolder.plan import Code, Image, Model, Plan

LOCKED = Plan("run", "some-7b", (), "one", Code("0" * 64), models={"a": Model("who/what", "main", "a" * 40)})
LOOSE = dataclasses.replace(LOCKED, models={"a": Model("who/what", "main", None), "b": Model("x/y", "v1", None)})


def test_a_revision_that_is_not_locked_is_refused_where_a_machine_is_paid_and_warned_of_here():
    says, hint = "not locked to a commit: who/what@main, x/y@v1", "run `launcher lock some-7b` and commit the lock file"
    assert check(LOOSE, paid=True) == Finding("pins", REFUSED, says, hint)
    assert check(LOOSE, paid=False) == Finding("pins", WARNING, says, hint)


def test_code_that_is_not_committed_is_warned_of_and_refused_where_it_would_be_an_image_s():
    dirty = dataclasses.replace(LOCKED, code=Code("0" * 64, dirty=True))
    says, hint = "the code has changes that are not committed", "commit them, so that the run can be repeated"
    assert check(dirty, paid=True) == Finding("pins", WARNING, says, hint)
    image = Image("launcher-some:cpu-1", "cpu", "l" * 64, "c" * 64)
    assert check(dataclasses.replace(dirty, image=image), paid=False) == Finding(
        "pins", REFUSED, says, f"{hint}; or launch with `--dirty`"
    )
    laid = dataclasses.replace(dirty, image=dataclasses.replace(image, overlay=True))
    assert check(laid, paid=False) == Finding("pins", WARNING, f"{says}, and replaces the code in the image", hint)


def test_a_run_that_can_be_repeated_is_fine():
    assert check(LOCKED, paid=True) == Finding("pins", OK, "1 pins, code 000000000000")
