import dataclasses
import json

import pytest

from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.preflight.settings import check

CHECK = """
import json, sys
config = json.load(open(sys.argv[1]))
print(json.dumps(config))
if config["batch"] % 4:
    sys.stderr.write(f"error: `{sys.argv[1]}`: `batch` is `{config['batch']}`\\n\\nhint: a multiple of 4\\n")
    sys.exit(2)
assert config["batch"] != 4, "four"
"""


@pytest.fixture
def checked(toy):
    """A recipe whose first stage has a check of its settings."""
    (toy.root / "recipes/toy/look.py").write_text(CHECK)
    toy.change_recipe("  sum:\n", '  sum:\n    check: [python, -m, recipes.toy.look, "{config}"]\n')
    return toy


def found(toy, *changes):
    planned = toy.planned(*changes)
    return check(planned.plan, planned.recipe, toy.root)


def test_a_recipe_without_a_check_takes_what_it_is_given(toy):
    assert found(toy) == Finding("settings", OK, "the recipe has no check of its own")


def test_a_stage_s_check_sees_the_settings_the_stage_would_get(checked):
    assert found(checked) == Finding("settings", OK, "of 1 stages")
    (checked.root / "recipes/toy/look.py").write_text("import sys; sys.exit(open(sys.argv[1]).read())")
    refused = found(checked, "batch=4")
    config = json.loads(refused.says.removeprefix("stage `sum`: "))
    assert config == {"batch": 4, "pause": 0.0, "save_every": 2, "start": 0, "fault": None, "steps": 16}


def test_a_refusal_is_the_check_s_sentence_without_the_file_nobody_knows(checked):
    assert found(checked, "batch=6") == Finding("settings", REFUSED, "stage `sum`: `batch` is `6`", "a multiple of 4")


def test_a_check_that_breaks_is_a_refusal_too(checked):
    assert found(checked, "batch=4") == Finding(
        "settings", REFUSED, "stage `sum`: AssertionError: four", "correct the setting"
    )


def test_a_launch_that_a_check_refuses_starts_nothing(checked):
    done = checked.launcher("launch", "toy-tiny", "--set", "batch=6")
    assert done.returncode == 2
    assert done.stderr == "error: settings: stage `sum`: `batch` is `6`\n\nhint: a multiple of 4\n"
    assert not checked.folder().events.exists()


def test_only_the_stages_of_the_list_are_checked(checked):
    checked.change_recipe("  again:\n", '  again:\n    check: [python, -c, "raise SystemExit(1)"]\n')
    planned = checked.planned(stages="short")
    assert check(planned.plan, planned.recipe, checked.root).level == OK
    assert dataclasses.replace(found(checked), hint="") == Finding("settings", REFUSED, "stage `again`: no message")
