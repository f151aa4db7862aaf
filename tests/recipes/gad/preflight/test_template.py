"""The look at rows before anything is paid, with a tokenizer and a template from a folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.common.preflight.template import demand, share
from recipes.common.stage.command import Mistake

ROOT = Path(__file__).parents[4]
ROWS = [{"content": [{"role": "user", "content": f"say {n}"}], "teacher_response": f"{n} it is"} for n in range(40)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    tiny = pytest.importorskip("recipes.common.model.tiny")
    folder = tmp_path_factory.mktemp("model")
    tiny.save(folder, [text for row in ROWS for text in (row["content"][0]["content"], row["teacher_response"])])
    return folder


@pytest.fixture
def looked(tmp_path, model):
    def look(rows=ROWS, repo=None, **settings):
        data = tmp_path / "train.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "data.json").write_text(
            json.dumps({"max_prompt_length": 100, "max_response_length": 100} | settings)
        )
        (tmp_path / "model.json").write_text(json.dumps({"repo": str(repo or model), "revision": "main"}))
        argv = [tmp_path / "data.json", "--model", tmp_path / "model.json", "--train", data, "--val", data]
        return subprocess.run(
            [sys.executable, "-m", "recipes.gad.preflight.template", *map(str, argv)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    return look


def test_the_shares_over_the_limits_are_told(looked):
    long = {**ROWS[0], "teacher_response": "it is " * 200}
    done = looked([*ROWS, long])
    assert done.returncode == 0, done.stderr
    prompts, answers = done.stdout.split("; ")[:2]
    assert prompts.startswith("of 41 prompts in train.jsonl 0.0% over max_prompt_length, longest ")
    assert answers.startswith("of 41 answers in train.jsonl 2.4% over max_response_length, longest ")
    assert done.stdout == f"{prompts}; {answers}; {prompts}; {answers}\n"


def test_a_limit_that_most_rows_are_over_is_refused(looked):
    done = looked(max_prompt_length=4)
    assert done.returncode == 2
    assert done.stderr.startswith("error: 100% of the rows looked at are over `max_prompt_length` 4; the longest has ")
    assert done.stderr.endswith(" tokens\n\nhint: set a larger `max_prompt_length`, or give shorter rows\n")


def test_a_template_that_refuses_a_chat_is_an_error_before_anything_is_paid(looked, model, tmp_path):
    import shutil

    strict = tmp_path / "strict"
    shutil.copytree(model, strict)
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        path = strict / name
        if not path.exists():
            continue
        if name.endswith("jinja"):
            path.write_text("{{ raise_exception('no system message, please') }}")
        else:
            path.write_text(
                json.dumps({**json.loads(path.read_text()), "chat_template": "{{ raise_exception('no, please') }}"})
            )
    done = looked(repo=strict)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the model's chat template refuses the chat that ends with `say ")
    assert "please" in done.stderr


def test_a_model_made_on_the_spot_has_nothing_to_look_at(looked):
    assert looked(repo="tiny").stdout == "the model and its chat template are made on the spot\n"


def test_the_limit_itself_is_not_over_it():
    assert share([9, 10, 11, 12], 10) == 0.5
    demand([9, 10, 11, 12], 10, "max", 0.5)
    with pytest.raises(Mistake):
        demand([9, 10, 11, 12], 10, "max", 0.49)
