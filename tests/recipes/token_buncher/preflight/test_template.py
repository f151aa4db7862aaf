"""The look at questions before anything is paid, with a tokenizer and a template from a folder."""

import json

import pytest

from recipes.common.stage.command import Mistake

from ..samples import SAMPLE


@pytest.fixture
def looked(tmp_path, model, capsys):
    from recipes.token_buncher.preflight import template

    def look(data=SAMPLE / "beavertails.jsonl", repo=None, limit=320):
        settings = {"template_type": "chat", "max_prompt_length": limit, "train_rows": 8, "test_rows": 2}
        (tmp_path / "data.json").write_text(json.dumps(settings))
        (tmp_path / "model.json").write_text(json.dumps({"repo": str(repo or model), "revision": "main"}))
        words = [tmp_path / "data.json", "--model", tmp_path / "model.json", "--beavertails", data]
        template.main(list(map(str, words)))
        return capsys.readouterr().out

    return look


def test_the_share_over_the_limit_is_told_of_unsafe_questions_alone(looked):
    rows = [json.loads(line) for line in (SAMPLE / "beavertails.jsonl").read_text().splitlines()]
    unsafe = sum(not row["is_safe"] for row in rows)
    assert looked().startswith(f"of {unsafe} unsafe questions 2.3% over max_prompt_length, longest ")


def test_a_limit_that_most_questions_are_over_is_refused(looked):
    with pytest.raises(Mistake) as caught:
        looked(limit=4)
    assert caught.value.error.startswith("100% of the rows looked at are over `max_prompt_length` 4; the longest has ")
    assert caught.value.hint == "set a larger `max_prompt_length`, or give shorter rows"


def test_rows_that_are_all_safe_and_a_model_made_on_the_spot_have_nothing_to_look_at(looked, tmp_path):
    (tmp_path / "safe.jsonl").write_text('{"prompt": "how are you", "is_safe": true}\n')
    said = "there are no unsafe questions: the stage that prepares them will say why\n"
    assert looked(tmp_path / "safe.jsonl") == said
    assert looked(repo="tiny") == "the model and its chat template are made on the spot\n"
