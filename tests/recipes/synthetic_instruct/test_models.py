"""Where models come from: made on the spot, a folder, and a judge whose weights are a pickle."""

import json

import pytest
import torch
from safetensors.torch import load_file

from recipes.synthetic_instruct import models

from .conftest import CHATS


@pytest.fixture
def place(tmp_path):
    def place(kind, **settings):
        (tmp_path / "config.json").write_text(json.dumps(settings))
        words = {"kind": kind, "texts": CHATS, "out": tmp_path / "out", "work": tmp_path / "work"}
        models.main(
            [str(tmp_path / "config.json"), *(str(word) for one in words.items() for word in (f"--{one[0]}", one[1]))]
        )
        return tmp_path / "out"

    return place


@pytest.mark.parametrize("kind", models.KINDS)
def test_a_tiny_model_of_each_kind_is_whole(place, kind):
    out = place(kind, repo="tiny", revision="main", lesson_steps=2)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["repo"] == "tiny" and metrics["parameters"] > 10_000
    architecture = json.loads((out / "config.json").read_text())["architectures"][0]
    assert architecture == ("DebertaV2ForSequenceClassification" if kind == "judge" else "Qwen2ForCausalLM")


def test_a_judge_whose_weights_are_a_pickle_becomes_safetensors(place, judge, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    for path in judge.glob("*.json"):
        (old / path.name).write_bytes(path.read_bytes())
    weights = load_file(judge / "model.safetensors")
    torch.save(weights, old / "pytorch_model.bin")
    out = place("judge", repo=str(old))
    assert not (out / "pytorch_model.bin").exists()
    found = load_file(out / "model.safetensors")
    assert found.keys() == weights.keys() and all(torch.equal(found[name], weights[name]) for name in weights)


def test_a_pickle_that_would_run_code_is_not_read(place, judge, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    for path in judge.glob("*.json"):
        (old / path.name).write_bytes(path.read_bytes())
    torch.save({"weight": print}, old / "pytorch_model.bin")
    with pytest.raises(Exception, match="Weights only load failed"):
        place("judge", repo=str(old))


def test_a_folder_that_there_is_not_is_a_sentence(place, refusal):
    assert refusal(lambda: place("judge", repo="/nowhere")) == (
        "error: no folder `/nowhere`\n\nhint: a hub repository is written `owner/name`"
    )
