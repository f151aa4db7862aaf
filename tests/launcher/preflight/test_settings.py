import json

import pytest

from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.preflight.recipe import settings as check

CHECK = """
import json, sys
for one in json.load(open(sys.argv[1])):
    batch = one["settings"]["batch"]
    if batch % 4:
        sys.stderr.write(f"error: stage `{one['stage']}`: `batch` is `{batch}`\\n\\nhint: a multiple of 4\\n")
        sys.exit(2)
    assert batch != 4, "four"
"""


COMMAND = '\nsettings_check: [python, -m, recipes.toy.look, "{request}"]\nstages:\n'


@pytest.fixture
def checked(toy):
    """A recipe with a check of settings, which its first stage wants."""
    (toy.root / "recipes/toy/look.py").write_text(CHECK)
    toy.change_recipe("\nstages:\n", COMMAND)
    toy.change_recipe("  sum:\n", "  sum:\n    check: count\n")
    return toy


def found(toy, *changes, **request):
    planned = toy.planned(*changes, **request)
    return check(planned.plan, planned.recipe, toy.root)


def test_nothing_is_said_of_a_recipe_without_a_check(toy):
    assert found(toy) is None


def test_the_check_sees_the_settings_that_the_stages_would_get(checked):
    assert found(checked) == Finding("settings", OK, "checked for 1 stage")
    checked.change_recipe("  again:\n", "  again:\n    check: count\n")
    assert found(checked) == Finding("settings", OK, "checked for 2 stages")
    (checked.root / "recipes/toy/look.py").write_text("import sys; sys.exit(open(sys.argv[1]).read())")
    settings = {"batch": 4, "pause": 0.0, "save_every": 2, "start": 0, "fault": None}
    assert json.loads(found(checked, "batch=4").says) == [
        {"stage": "sum", "kind": "count", "settings": {**settings, "steps": 16}, "cloud": "local"},
        {"stage": "again", "kind": "count", "settings": {**settings, "steps": 32}, "cloud": "local"},
    ]


def test_a_refusal_is_the_check_s_sentence(checked):
    assert found(checked, "batch=6") == Finding("settings", REFUSED, "stage `sum`: `batch` is `6`", "a multiple of 4")


def test_a_check_that_breaks_is_a_refusal_too(checked):
    assert found(checked, "batch=4") == Finding("settings", REFUSED, "AssertionError: four", "correct the setting")


def test_a_stage_that_nobody_can_check_is_a_refusal(checked):
    checked.change_recipe(COMMAND, "\nstages:\n")
    says = f"`{checked.recipe}`: stage `sum` has a `check`, and no command does it"
    assert found(checked) == Finding("settings", REFUSED, says, "write `settings_check`")


def test_a_launch_that_a_check_refuses_starts_nothing(checked):
    done = checked.launcher("launch", "toy-tiny", "--set", "batch=6")
    assert done.returncode == 2
    assert done.stderr == "error: settings: stage `sum`: `batch` is `6`\n\nhint: a multiple of 4\n"
    assert not checked.folder().events.exists()


def test_only_the_stages_of_the_list_are_checked(checked):
    checked.change_recipe("    check: count\n", "")
    checked.change_recipe("  again:\n", "  again:\n    check: count\n")
    assert found(checked, "batch=6").says == "stage `again`: `batch` is `6`"
    assert found(checked, "batch=6", stages="short") is None
