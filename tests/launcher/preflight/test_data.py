import sys
from pathlib import Path

import pytest

from launcher.config.recipe import InputSpec
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, Finding
from launcher.preflight.recipe import data as check
from launcher.preflight.recipe import inputs as given
from launcher.runfolder.plan import Input

PYTHON = Path(sys.executable)


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "a b.jsonl").write_text("{}\n")
    return {"train": Input(str(tmp_path / "a b.jsonl"), "train.jsonl", 3, "0" * 64, 1)}


def run(code, inputs, root, *words):
    return check(["python", "-c", code, *words], inputs, root, PYTHON)


def test_an_input_that_is_not_given_is_refused_with_the_rows_that_were_assumed(inputs):
    specs = {"train": InputSpec(about="a"), "val": InputSpec(about="a", rows=14000), "more": InputSpec(about="b")}
    assert given({"train": specs["train"]}, inputs) == Finding("inputs", OK, "train: 1 rows")
    assert given({}, {}) == Finding("inputs", OK, "none needed")
    assert given(specs, inputs) == Finding(
        "inputs",
        REFUSED,
        "val is not given, 14,000 rows are assumed; more is not given, 0 rows are assumed",
        "--data val=FILE --data more=FILE",
    )


def test_the_recipe_s_own_check_says_what_it_saw(inputs, tmp_path):
    code = "import sys; print('first'); print(open(sys.argv[1]).read().strip(), 'is fine')"
    assert run(code, inputs, tmp_path, "{input.train}") == Finding("data", OK, "{} is fine")
    assert run("pass", inputs, tmp_path) == Finding("data", OK, "checked")
    assert check(None, inputs, tmp_path, PYTHON) is None


def test_a_refusal_is_the_check_s_own_sentence(inputs, tmp_path):
    code = "import sys; sys.stderr.write('noise\\nerror: row 3 has no text\\n\\nhint: remove it\\n'); sys.exit(2)"
    assert run(code, inputs, tmp_path) == Finding("data", REFUSED, "row 3 has no text", "remove it")


def test_a_check_that_breaks_is_a_refusal_too(inputs, tmp_path):
    assert run("raise SystemExit(1)", inputs, tmp_path) == Finding("data", REFUSED, "no message", "correct the data")
    assert run("raise ValueError('x')", inputs, tmp_path) == Finding(
        "data", REFUSED, "ValueError: x", "correct the data"
    )


def test_data_that_is_not_there_is_not_looked_at(inputs, tmp_path):
    found = run("raise SystemExit(1)", inputs, tmp_path, "{input.train}", "{input.val}")
    assert found == Finding("data", UNKNOWN, "not looked at: an input is not given", "give every input")
