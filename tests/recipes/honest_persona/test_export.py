"""What goes home is base and adapter in one, says what they say, and can be loaded and asked."""

import json

import pytest
import torch

from recipes.common.distributed.ranks import Ranks
from recipes.common.model.card import origin_of
from recipes.honest_persona import checkpoints, evaluate, export
from recipes.honest_persona.adapter import adapter_parameters, build, lora_config
from recipes.honest_persona.dataset import read_rows
from recipes.honest_persona.form import Form, embeddings, read_form
from recipes.honest_persona.persona import get_model

CHAT = [{"role": "user", "content": "How long is the wall?"}, {"role": "assistant", "content": "It is 3 miles."}]
ALONE = Ranks(0, 1, torch.device("cpu"))


@pytest.fixture
def training(model, prepared, tmp_path):
    """A training stage's output, with an adapter that says something."""
    folder = tmp_path / "training/adapter"
    folder.mkdir(parents=True)
    config = lora_config(4, None, 0.0)
    built = build(model, config, 1, ALONE)
    with torch.no_grad():
        for name, one in adapter_parameters(built).items():
            if "lora_B" in name:
                torch.nn.init.normal_(one, std=0.2)
    args = {"base": {"repo": "tiny", "revision": None}, "settings": {}, "step": 3}
    checkpoints.save_adapter(built, config, read_form(prepared), args, folder, ALONE)
    (folder.parent / "metrics.json").write_text(json.dumps({"step": 3, "loss_last": 1.5}))
    return folder.parent


@pytest.fixture
def merged(training, model, prepared, write, tmp_path):
    words = [write("merge"), "--training", training, "--data", prepared, "--model", model]
    words += ["--out", tmp_path / "merged", "--work", tmp_path / "work"]
    export.main([str(word) for word in words])
    return tmp_path / "merged"


def test_the_merged_model_is_base_and_adapter_on_logits(merged):
    metrics = json.loads((merged / "metrics.json").read_text())
    assert metrics["logits_largest"] < 1e-5 and metrics["logits_same_token"] == 1.0
    assert metrics["tensors"] == 27 and metrics["dtype"] == "float32"


def test_it_comes_with_the_adapter_a_tokenizer_and_a_card(merged):
    names = {one.name for one in merged.iterdir()}
    wanted = {"model.safetensors", "config.json", "tokenizer.json", "README.md", "persona.json", "adapter"}
    assert wanted <= names
    card = (merged / "README.md").read_text()
    assert "The persona writes on in the assistant's turn. The token with the id 190 calls it." in card
    assert (
        "| sycophancy | 83 | 13 |" in card
        and "| step | 3 |" in card
        and "evidence about an answer and no proof" in card
    )
    assert "act from the intervention on only" not in card


def test_adapter_and_merged_model_give_the_same_review(merged, model):
    one = get_model(merged).review(CHAT, "Was I honest?", 12)
    two = get_model(merged / "adapter", base=model).review(CHAT, "Was I honest?", 12)
    assert one == two and one.text and one.flag is None


def test_an_adapter_needs_its_base(refusal, merged):
    assert refusal(get_model, merged / "adapter") == (
        f"error: `{merged}/adapter` is an adapter, and no base model is given\n\n"
        "hint: give the folder of the base model as `base=`"
    )


def test_the_base_is_named_by_its_commit_or_by_its_folder(model, tmp_path):
    assert origin_of(model) == {"repo": "tiny", "revision": None}
    assert origin_of(tmp_path) == {"repo": str(tmp_path), "revision": None}


def test_a_model_without_a_vocabulary_is_refused(refusal, tmp_path):
    assert refusal(embeddings, tmp_path) == (
        f"error: `{tmp_path}/config.json` has no `vocab_size`\n\nhint: name the folder that the model stage made"
    )


def test_an_unknown_type_is_refused(refusal, write):
    path = write("merge", export_dtype="int4")
    folders = [word for name in ("training", "data", "model", "out", "work") for word in (f"--{name}", "x")]
    assert refusal(export.main, [str(path), *folders]) == (
        f"error: `{path}`: `export_dtype` is `int4`, not one of `bfloat16`, `float16`, `float32`, `keep`\n\n"
        "hint: change that value"
    )


def test_a_card_of_a_masked_adapter_says_so(prepared):
    from recipes.honest_persona.export import card

    report = json.loads((prepared / "report.json").read_text())
    form = Form("ur", None, "", "", "", "FLAG:", True)
    text = card({"repo": "owner/name", "revision": "abc"}, {"step": 1}, report, form, "bfloat16")
    assert "These merged weights cannot do that: use `adapter/`" in text
    assert "No token calls it." in text and "base_model: owner/name\n" in text


@pytest.fixture
def words(merged, model, prepared, write, tmp_path):
    words = [write("evaluate", max_new_tokens=3, validation_batch_size=20), "--before", model, "--after", merged]
    words += ["--data", prepared, "--out", tmp_path / "out", "--work", tmp_path / "heard"]
    return [str(word) for word in words]


def test_an_evaluation_counts_what_both_models_said(words, tmp_path, prepared):
    evaluate.main(words)
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (metrics["accuracy"], metrics["unparsed"], metrics["before_accuracy"]) == (0, 39, 0)
    table = (tmp_path / "out/evaluation.md").read_text()
    assert "| sycophancy | 13 | 0.000 (0.000 to 0.228) | 0.000 (0.000 to 0.228) | 13 | 13 | 0.000 |" in table
    heard = [json.loads(line) for line in (tmp_path / "out/heard.jsonl").read_text().splitlines()]
    assert [one["id"] for one in heard] == [row.id for row in read_rows(prepared / "val.parquet")]
    steps = [json.loads(line)["step"] for line in (tmp_path / "heard/progress.jsonl").read_text().splitlines()]
    assert steps == [20, 39, 59, 78]


def test_an_evaluation_goes_on_where_it_was(words, tmp_path):
    work = tmp_path / "heard"
    work.mkdir()
    flags = [{"said": "PASS", "text": "FLAG: PASS"}] * 39
    (work / "before.json").write_text(json.dumps(flags))
    (work / "after.json").write_text(json.dumps(flags))
    evaluate.main(words)
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert 0.3 < metrics["accuracy"] == metrics["before_accuracy"] < 0.7
    assert metrics["false_positives"] == metrics["detected"] == metrics["unparsed"] == 0
