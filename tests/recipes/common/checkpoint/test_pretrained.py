"""What is exported is what `save_pretrained` of the right class would write."""

import json

import pytest
import torch

from recipes.common.checkpoint.fsdp import open_shards
from recipes.common.checkpoint.pretrained import exported_config, main_dtype, named_tensors, read_config, without_ties
from recipes.common.stage.command import StageError

ACTOR = {"architectures": ["Qwen2ForCausalLM"], "dtype": "float32"}


@pytest.fixture
def opened(write_role):
    return lambda tensors, **layout: open_shards(write_role(tensors, **layout))


def refusal(function, *args):
    with pytest.raises(StageError) as caught:
        function(*args)
    return caught.value.error, caught.value.hint


def language_model(tied=False, **more):
    embeddings = torch.randn(6, 4)
    head = embeddings if tied else torch.randn(6, 4)
    return {"model.embed_tokens.weight": embeddings, "model.norm.weight": torch.ones(4), **more, "lm_head.weight": head}


@pytest.mark.parametrize("config", [{"tie_word_embeddings": True}, {}])
@pytest.mark.parametrize("dim", [0, "plain"])
def test_a_tied_head_is_left_out(opened, config, dim):
    # Cut by `share`, the two lie apart in the file, as FSDP1 leaves them; plain, they share bytes, as with FSDP2.
    tensors = language_model(tied=True)
    shards = opened(tensors, dims=dict.fromkeys(tensors, dim))
    said_or_seen = bool(config) or dim == "plain"
    assert ("lm_head.weight" in without_ties(shards, config, None)) != said_or_seen


@pytest.mark.parametrize("config", [{"tie_word_embeddings": False}, {}])
def test_an_untied_head_is_kept(opened, config):
    shards = opened(language_model())
    assert without_ties(shards, config, None) == shards


def test_a_head_without_embeddings_is_kept_though_it_is_said_to_be_tied(opened):
    shards = opened({"lm_head.weight": torch.ones(6, 4)})
    assert without_ties(shards, {"tie_word_embeddings": True}, None) == shards


def test_a_head_that_training_has_untied_is_not_dropped(opened):
    shards = opened(language_model())
    assert refusal(without_ties, shards, {"tie_word_embeddings": True}, None) == (
        f"`{shards['lm_head.weight'].folder}`: `lm_head.weight` is not `model.embed_tokens.weight`, "
        "though `tie_word_embeddings` is true",
        "training has untied them: set `tie_word_embeddings` to false in `huggingface/config.json` to keep both",
    )


def test_trls_value_head_becomes_the_score_that_it_is(opened):
    head = {"v_head.summary.weight": torch.ones(1, 4), "v_head.summary.bias": torch.ones(1)}
    exported = named_tensors(opened(language_model(**head)))
    assert list(exported) == ["model.embed_tokens.weight", "model.norm.weight", "score.weight", "score.bias"]


def test_the_names_that_trl_puts_before_a_critic_s_are_taken_off(opened):
    tensors = {f"pretrained_model.{name}": value for name, value in language_model().items()}
    exported = named_tensors(opened({**tensors, "v_head.summary.weight": torch.ones(1, 4)}))
    assert list(exported) == ["model.embed_tokens.weight", "model.norm.weight", "score.weight"]


def test_lora_is_refused(opened):
    name = "base_model.model.q_proj.lora_A.default.weight"
    shards = opened({name: torch.ones(2, 2)})
    assert refusal(named_tensors, shards) == (
        f"`{shards[name].folder}`: `{name}` belongs to a LoRA adapter, which is not a model",
        "`python -m recipes.common.convert` writes the adapter as a folder of its own; `--merge` merges it",
    )


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_the_type_is_said_under_the_key_that_is_there(key):
    config = {"architectures": ["Qwen2ForCausalLM"], key: "float32"}
    assert exported_config(config, ["w"], torch.bfloat16) == {**config, key: "bfloat16"}


def test_the_type_is_said_when_nothing_was_said():
    config = {"architectures": ["Qwen2ForCausalLM"]}
    assert exported_config(config, ["w"], torch.float16) == {**config, "dtype": "float16"}


def test_the_trainers_attention_kernel_is_left_out():
    assert exported_config({**ACTOR, "attn_implementation": "flash_attention_2"}, ["w"], torch.float32) == ACTOR


@pytest.mark.parametrize(
    ("trained", "exported"),
    [
        ("Qwen2ForCausalLM", "Qwen2ForTokenClassification"),
        ("Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLForTokenClassification"),
        ("TransFormer", "TransFormerForTokenClassification"),
    ],
)
def test_a_critic_is_called_a_token_classifier_with_one_label(trained, exported):
    assert exported_config({"architectures": [trained], "dtype": "float32"}, ["score.weight"], torch.float32) == {
        "architectures": [exported],
        "dtype": "float32",
        "num_labels": 1,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
    }


def test_a_classifier_keeps_its_class():
    config = {"architectures": ["Qwen2ForSequenceClassification"], "dtype": "float32", "num_labels": 3}
    assert exported_config(config, ["score.weight"], torch.float32) == config


def test_the_models_type_is_that_of_most_numbers(opened):
    shards = opened({"a": torch.ones(9).bfloat16(), "b": torch.ones(4), "c": torch.ones(20, dtype=torch.int64)})
    floats = [shards["a"], shards["b"]]
    assert main_dtype(floats, None) == torch.bfloat16
    assert main_dtype(floats, torch.float16) == torch.float16


@pytest.mark.parametrize(
    ("text", "what"), [(None, "no such file"), ("[1]", "not a JSON object"), ("{", "not a JSON object")]
)
def test_a_role_without_configuration_is_refused(write_role, text, what):
    folder = write_role({"w": torch.ones(2)})
    file = folder / "huggingface" / "config.json"
    file.unlink() if text is None else file.write_text(text)
    assert refusal(read_config, folder) == (
        f"`{file}`: {what}",
        "verl saves it with the rank files of rank 0: copy the role's whole folder",
    )


def test_a_configuration_without_class_is_refused(write_role):
    folder = write_role({"w": torch.ones(2)})
    file = folder / "huggingface" / "config.json"
    file.write_text(json.dumps({"model_type": "qwen2"}))
    assert refusal(read_config, folder) == (
        f"`{file}`: no `architectures`",
        'add the class of the model, such as `"architectures": ["Qwen2ForCausalLM"]`',
    )
