import json
from pathlib import Path

import pytest

from launcher.config.recipe import names
from launcher.config.site import SiteFile
from launcher.planning.request import Request, draft
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, Finding
from launcher.preflight.recipe import texts as check

ROOT = Path(__file__).parent.parent.parent.parent

PROGRAM = """
import json, os, sys
settings = json.load(open(sys.argv[1]))
print("batch", settings["batch"], "of", os.path.basename(sys.argv[2]), os.environ.get("HF_TOKEN"))
"""


@pytest.fixture
def found(toy):
    def look(program=PROGRAM, inputs=None, **names):
        (toy.root / "recipes/toy/look.py").write_text(program)
        if "texts:" not in toy.recipe.read_text():
            toy.change_recipe(
                "image: toy\n", 'image: toy\ntexts: [python, -m, recipes.toy.look, "{config.sum}", "{input.train}"]\n'
            )
        planned = toy.planned(**names)
        return check(
            planned.plan,
            planned.recipe,
            planned.inputs if inputs is None else inputs,
            {"HF_TOKEN": "hf_x"},
            toy.root,
        )

    return look


def test_a_recipe_without_the_command_is_not_looked_at(toy):
    planned = toy.planned()
    assert check(planned.plan, planned.recipe, planned.inputs, {}, toy.root) is None


def test_the_command_gets_the_stage_s_settings_the_input_and_the_job_s_token(found):
    assert found() == Finding("texts", OK, "batch 8 of numbers.jsonl hf_x")


def test_a_stage_that_is_not_in_the_list_has_no_settings(found, toy):
    toy.change_recipe("image: toy\n", 'image: toy\ntexts: [python, -m, recipes.toy.look, "{config.again}"]\n')
    assert found("import sys; print(open(sys.argv[1]).read())", stages="short") == Finding("texts", OK, "null")


def test_without_an_input_it_is_not_looked_at(found):
    assert found(inputs={}) == Finding("texts", UNKNOWN, "not looked at: no input.train", "give every input")


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        (2, Finding("texts", REFUSED, "`acme/llama` is gated", "ask for access")),
        (3, Finding("texts", UNKNOWN, "not looked at: `acme/llama` is gated", "ask for access")),
    ],
    ids=["a mistake", "no answer"],
)
def test_what_is_the_user_s_to_mend_is_refused_and_what_is_not_is_a_warning(found, code, finding):
    text = "error: `acme/llama` is gated\n\nhint: ask for access\n"
    assert found(f"import sys; sys.stderr.write({json.dumps(text)}); sys.exit({code})") == finding


def test_a_command_that_breaks_refuses(found):
    assert found("raise ValueError('no')") == Finding("texts", REFUSED, "ValueError: no", "correct the data")


@pytest.mark.parametrize("name", [name for name in names(ROOT) if name.endswith("-tiny")])
def test_every_recipe_looks_at_its_own_rehearsal_s_rows(project, monkeypatch, name):
    monkeypatch.chdir(project)
    request = draft(Request(name, "docker"), project, SiteFile())
    found = check(request.plan, request.recipe, request.inputs, {}, project)
    assert found.level == OK, found
