"""An export that differs from its checkpoint in a single bit is not passed."""

import json
import re
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2ForCausalLM

from recipes.common.checkpoint import verify as module
from recipes.common.checkpoint.convert import convert
from recipes.common.checkpoint.verify import verify
from recipes.common.stage.command import StageError
from tests.recipes.common.checkpoint.architectures import CONFIGURATIONS, model_of

AGAIN = "the export was not made from this checkpoint, or was changed later: convert again"


def silent(done, total):
    pass


@pytest.fixture(scope="module")
def whole(verl_peer, tmp_path_factory):
    export = tmp_path_factory.mktemp("export") / "model"
    convert(verl_peer / "fsdp2" / "actor", export, torch.bfloat16, 20_000, silent)
    return export


@pytest.fixture
def export(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


@pytest.fixture
def role(verl_peer):
    return verl_peer / "fsdp2" / "actor"


@pytest.fixture(autouse=True)
def many_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 100)


def change(export, edit):
    """`edit` changes the tensors of the first weights file, which is returned."""
    file = min(export.glob("*.safetensors"))
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    return file


def refusal(export, role):
    with pytest.raises(StageError) as caught:
        verify(export, role, "Hi", silent)
    return caught.value.error, caught.value.hint


@pytest.mark.parametrize("case", ["fsdp2", "tied"])
def test_a_right_export_passes_with_its_numbers_and_a_reply(verl_peer, tmp_path, monkeypatch, case):
    role, export, out = verl_peer / case / "actor", tmp_path / "model", tmp_path / "out"
    summary = convert(role, export, torch.bfloat16, 10**9, silent)
    command = ["verify", str(export), "--checkpoint", str(role), "--out", str(out), "--work", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", [*command, "--prompt", "hello"])
    module.main()
    metrics = json.loads((out / "metrics.json").read_text())
    assert isinstance(metrics.pop("reply"), str)
    assert metrics == {
        "tensors": summary.tensors,
        "parameters": summary.parameters,
        "largest_difference": 0.0,
        "dtype": "bfloat16",
        "prompt": "hello",
    }
    lines = (tmp_path / "work" / "progress.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == json.loads(lines[-1])["steps"] == summary.tensors


def test_the_reply_is_greedy_and_short_whatever_the_model_says_of_sampling(export, role, monkeypatch):
    settings = {"do_sample": True, "temperature": 5.0, "top_k": 50, "top_p": 0.9, "max_new_tokens": 500}
    (export / "generation_config.json").write_text(json.dumps(settings))
    generate, lengths = Qwen2ForCausalLM.generate, []

    def watched(model, input_ids, **options):
        tokens = generate(model, input_ids, **options)
        lengths.append(tokens.shape[1] - input_ids.shape[1])
        return tokens

    monkeypatch.setattr(Qwen2ForCausalLM, "generate", watched)
    first, second = (verify(export, role, "Hi", silent)["reply"] for _ in range(2))
    assert first == second != ""
    assert lengths == [64, 64]


def test_one_bit_is_seen(export, role):
    def flip(tensors):
        tensors["model.embed_tokens.weight"].view(torch.int16)[-1, -1] ^= 1

    file = change(export, flip)
    error, hint = refusal(export, role)
    assert error.startswith(f"`{file}`: `model.embed_tokens.weight` is not the checkpoint's: values differ by up to ")
    assert hint == AGAIN


def test_the_largest_difference_is_named(export, role):
    def move(tensors):
        tensors["model.embed_tokens.weight"].zero_()

    file = change(export, move)
    largest = load_file(role.parent / "merged" / "model.safetensors")["model.embed_tokens.weight"].abs().max()
    assert refusal(export, role) == (
        f"`{file}`: `model.embed_tokens.weight` is not the checkpoint's: values differ by up to {float(largest):g}",
        AGAIN,
    )


def test_another_shape_is_seen(export, role):
    def transpose(tensors):
        tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"].T.contiguous()

    rows = len(load_file(role.parent / "merged" / "model.safetensors")["model.embed_tokens.weight"])
    file = change(export, transpose)
    assert refusal(export, role) == (
        f"`{file}`: `model.embed_tokens.weight` is `[48, {rows}]`, not `[{rows}, 48]`",
        AGAIN,
    )


def test_a_tensor_too_few_is_seen(export, role):
    change(export, lambda tensors: tensors.pop("model.embed_tokens.weight"))
    assert refusal(export, role) == (f"`{export}`: only the checkpoint has `model.embed_tokens.weight`", AGAIN)


def test_a_tensor_too_many_is_seen(export, role):
    change(export, lambda tensors: tensors.update(extra=torch.ones(1)))
    assert refusal(export, role) == (f"`{export}`: only the export has `extra`", AGAIN)


def test_a_file_cut_short_is_seen(export, role):
    file = min(export.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])
    error, hint = refusal(export, role)
    assert error.startswith(f"`{file}`: cut short, or not a safetensors file (")
    assert hint == AGAIN


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("num_hidden_layers", 3, "missing keys: `model.layers.2.input_layernorm.weight`"),
        ("num_hidden_layers", 1, "unexpected keys: `model.layers.1.input_layernorm.weight`"),
    ],
)
def test_a_configuration_of_another_model_is_seen(export, role, key, value, what):
    file = export / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, key: value, "layer_types": ["full_attention"] * value}))
    assert refusal(export, role) == (f"`{export}`: transformers finds {what}", AGAIN)


def test_a_configuration_of_no_model_is_seen(export, role):
    (export / "config.json").write_text('{"model_type": "none"}')
    error, hint = refusal(export, role)
    assert error.startswith(f"`{export}`: transformers cannot open it: ")
    assert hint == AGAIN


def test_a_model_without_chat_template_is_refused(export, role):
    (export / "chat_template.jinja").unlink()
    assert refusal(export, role) == (
        f"`{export}`: the tokenizer has no chat template, so the model cannot answer a chat",
        "train from a tokenizer with a chat template: verl saves it with every checkpoint",
    )


def test_a_file_that_no_index_names_is_seen(export, role):
    index = json.loads((export / "model.safetensors.index.json").read_text())
    name = index["weight_map"]["model.norm.weight"]
    index["weight_map"] = {key: file for key, file in index["weight_map"].items() if file != name}
    (export / "model.safetensors.index.json").write_text(json.dumps(index))
    says = f"`{export}`: `{name}` is not in `model.safetensors.index.json`: nobody reads it"
    assert refusal(export, role) == (says, AGAIN)


def test_an_index_that_names_what_is_not_there_is_seen(export, role):
    index = json.loads((export / "model.safetensors.index.json").read_text())
    index["weight_map"]["more"] = "model-9.safetensors"
    (export / "model.safetensors.index.json").write_text(json.dumps(index))
    says = f"`{export}`: `model.safetensors.index.json` names `model-9.safetensors`, which is not there"
    assert refusal(export, role) == (says, AGAIN)


def test_weights_that_shadow_the_others_are_seen(export, role):
    first = min(export.glob("*.safetensors"))
    shutil.copy(first, export / "model.safetensors")
    error, hint = refusal(export, role)
    assert error.startswith(f"`{export}/model.safetensors`: `") and error.endswith(f"is in `{first.name}` too")
    assert hint == AGAIN


def test_weights_of_another_format_beside_them_are_seen(export, role):
    (export / "pytorch_model.bin").write_bytes(b"")
    assert refusal(export, role) == (
        f"`{export}`: `pytorch_model.bin` lies beside the safetensors files: a reader may take it for the weights",
        AGAIN,
    )


def test_a_changed_configuration_is_seen(export, role):
    file = export / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    assert refusal(export, role) == (
        f"`{file}`: `rms_norm_eps` is `0.5`, and `{config['rms_norm_eps']}` by the checkpoint's configuration",
        AGAIN,
    )


def test_a_changed_theta_is_seen(export, role):
    """It is in no tensor."""
    file = export / "config.json"
    config = json.loads(file.read_text())
    before = config["rope_parameters"]
    file.write_text(json.dumps({**config, "rope_parameters": {**before, "rope_theta": 31.0}}))
    error, hint = refusal(export, role)
    assert error.startswith(f"`{file}`: `rope_parameters` is `{{") and "'rope_theta': 31.0" in error
    assert error.endswith("by the checkpoint's configuration") and hint == AGAIN


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_no_model(write_role, tmp_path, value):
    model = model_of("Qwen2ForCausalLM")
    with torch.no_grad():
        model.model.norm.weight[3] = value
    role = write_role(model.state_dict(), config=json.loads(model.config.to_json_string()))
    convert(role, tmp_path / "export", None, 10**9, silent)
    assert refusal(tmp_path / "export", role) == (
        f"`{tmp_path}/export/model.safetensors`: `model.norm.weight` has values that are not finite, "
        "and so has the checkpoint",
        "the training diverged: use an earlier checkpoint",
    )


def test_a_tokenizer_that_cannot_be_opened_is_a_sentence(export, role):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (export / name).write_text("{")
    error, hint = refusal(export, role)
    assert error.startswith(f"`{export}`: its tokenizer cannot be opened: ")
    assert hint == "verl saves the tokenizer with every checkpoint: copy the role's whole folder, and convert again"


def test_a_tokenizer_that_is_not_there_is_a_sentence(export, role):
    for path in (*export.glob("tokenizer*"), *export.glob("*.jinja")):
        path.unlink()
    assert refusal(export, role) == (
        f"`{export}`: it has no tokenizer",
        "verl saves the tokenizer with every checkpoint: copy the role's whole folder, and convert again",
    )


def test_a_template_that_fails_is_a_sentence(export, role):
    (export / "chat_template.jinja").write_text("{{ raise_exception('no system role') }}")
    error, _ = refusal(export, role)
    assert error == f"`{export}`: its chat template fails: no system role"


def test_a_context_shorter_than_the_reply_is_enough(write_role, verl_peer, tmp_path):
    """64 tokens more than the prompt do not fit into 40 positions."""
    role = shutil.copytree(verl_peer / "fsdp2" / "actor", tmp_path / "actor")
    config = json.loads((role / "huggingface/config.json").read_text())
    (role / "huggingface/config.json").write_text(json.dumps({**config, "max_position_embeddings": 40}))
    convert(role, tmp_path / "export", torch.bfloat16, 10**9, silent)
    assert verify(tmp_path / "export", role, "Hi", silent)["reply"]


def test_a_critic_is_verified_and_makes_no_reply(verl_peer, tmp_path):
    role = verl_peer / "critic" / "actor"
    convert(role, tmp_path / "export", torch.bfloat16, 10**9, silent)
    assert "reply" not in verify(tmp_path / "export", role, "Hi", silent)


@pytest.mark.parametrize("kind", ["Qwen2ForTokenClassification", "Qwen2ForSequenceClassification"])
def test_a_classifier_is_verified_and_makes_no_reply(write_role, tmp_path, kind):
    import transformers

    config = model_of("Qwen2ForCausalLM").config
    config.num_labels, config.architectures, config.pad_token_id = 3, [kind], 0
    model = getattr(transformers, kind)(config)
    role = write_role(model.state_dict(), config=json.loads(model.config.to_json_string()) | {"architectures": [kind]})
    assert convert(role, tmp_path / "export", None, 10**9, silent).architecture == kind
    assert verify(tmp_path / "export", role, "Hi", silent).keys() == {
        "tensors",
        "parameters",
        "largest_difference",
        "dtype",
    }


VISION = "Qwen2VLForConditionalGeneration"


@pytest.fixture
def seeing(write_role, verl_peer, tmp_path):
    """A role with a model of text and images of so many tokens, and a tokenizer, and its export."""

    def make(tokens):
        text = {**CONFIGURATIONS[VISION]["text_config"], "vocab_size": tokens}
        model = model_of(VISION, {**CONFIGURATIONS[VISION], "text_config": text})
        model.save_pretrained(tmp_path / "saved")
        role = write_role(model.state_dict(), config=json.loads((tmp_path / "saved/config.json").read_text()))
        for path in (verl_peer / "fsdp2/actor/huggingface").iterdir():
            if path.name != "config.json":
                shutil.copy(path, role / "huggingface")
        convert(role, tmp_path / "export", None, 10**9, silent)
        return tmp_path / "export", role

    return make


def test_a_model_of_text_and_images_is_verified_and_replies(seeing):
    assert isinstance(verify(*seeing(1000), "Hi", silent)["reply"], str)


def test_a_tokenizer_of_a_larger_model_is_a_sentence(seeing):
    export, role = seeing(96)
    error, hint = refusal(export, role)
    assert re.fullmatch(rf"`{export}`: its tokenizer makes token \d+, and the model has 96 tokens", error)
    assert hint == "the tokenizer is of another model: put the right one into `huggingface/`, and convert again"
