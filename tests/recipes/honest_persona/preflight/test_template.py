"""The look at reviews before anything is paid, with a tokenizer and a template from a folder."""

import json
from pathlib import Path

import pytest

from recipes.common.stage.command import Mistake

ROOT = Path(__file__).parents[4]
SAMPLE = ROOT / "recipes/honest_persona/sample/data.jsonl"


@pytest.fixture
def looked(tmp_path, capsys):
    yaml = pytest.importorskip("yaml")
    tiny = pytest.importorskip("recipes.common.model.tiny")
    from recipes.common.model.fetch import strings
    from recipes.honest_persona.preflight import template

    recipe = yaml.safe_load((ROOT / "recipes/honest_persona/recipe.yaml").read_text())
    tiny_size = yaml.safe_load((ROOT / "recipes/honest_persona/sizes/tiny.yaml").read_text())
    settings_there = recipe["settings"] | tiny_size["settings"]
    uses = recipe["stages"]["prepare"]["uses"]
    tiny.save(tmp_path / "model", strings(SAMPLE))

    def look(repo=tmp_path / "model", **changes):
        settings = {name: settings_there[name] for name in uses} | changes
        (tmp_path / "prepare.json").write_text(json.dumps(settings))
        (tmp_path / "model.json").write_text(json.dumps({"repo": str(repo), "revision": "main"}))
        template.main([str(tmp_path / "prepare.json"), "--model", str(tmp_path / "model.json"), "--data", str(SAMPLE)])
        return capsys.readouterr().out

    return look


def test_the_share_over_the_limit_is_told(looked):
    assert " reviews 0.0% over seq_len, longest " in looked()


def test_a_limit_that_most_reviews_are_over_is_refused(looked):
    with pytest.raises(Mistake) as caught:
        looked(seq_len=16)
    assert caught.value.error.startswith("100% of the rows looked at are over `seq_len` 16; the longest has ")
    assert caught.value.hint == "set a larger `seq_len`, or give shorter rows"


def test_a_model_made_on_the_spot_has_nothing_to_look_at(looked):
    assert looked(repo="tiny") == "the model and its chat template are made on the spot\n"
