"""What torch.distributed.checkpoint saved of a sharded model becomes what `save_pretrained` writes of it."""

import json
import os
import pickle
import shutil

import pytest
import torch
import torch.distributed.checkpoint as dcp

from recipes.common.checkpoint import verify as module
from recipes.common.checkpoint.formats.dcp import open_dcp, read_metadata, whole_tensor
from recipes.common.checkpoint.verify import verify
from recipes.common.stage.command import StageError
from tests.recipes.common.checkpoint.architectures import model_of
from tests.recipes.common.checkpoint.formats.written import written

CLASSES = ["Qwen2ForCausalLM", "Qwen3MoeForCausalLM"]


@pytest.fixture
def saved(tmp_path):
    def saved(architecture):
        model_of(architecture).save_pretrained(tmp_path / "saved")
        return tmp_path / "saved"

    return saved


@pytest.mark.parametrize("what", ["dcp", "dcp_model"])
@pytest.mark.parametrize("architecture", CLASSES)
def test_an_export_is_what_save_pretrained_writes(
    trainers_peer, tmp_path, saved, convert, monkeypatch, architecture, what
):
    checkpoint, base = trainers_peer / what / architecture, saved(architecture)
    convert(checkpoint, tmp_path / "out", "--config", base, "--dtype", "keep")
    assert written(tmp_path / "out") == written(base)
    monkeypatch.setattr(module, "reply", lambda *_: {})  # it has no tokenizer
    assert verify(tmp_path / "out", checkpoint, "Hi", lambda *_: None, base)["tensors"] == len(written(base))


def test_the_configuration_is_found_beside_the_folder_that_accelerate_writes(trainers_peer, tmp_path, saved, convert):
    base = saved("Qwen2ForCausalLM")
    checkpoint = tmp_path / "checkpoint-500"
    shutil.copytree(trainers_peer / "dcp_model" / "Qwen2ForCausalLM", checkpoint / "pytorch_model_fsdp_0")
    shutil.copy(base / "config.json", checkpoint)
    assert convert(checkpoint, tmp_path / "out").startswith("Qwen2ForCausalLM: 26 tensors, 18,720 parameters, bfloat16")


def refusal(function, *arguments):
    with pytest.raises(StageError) as caught:
        function(*arguments)
    return caught.value.error, caught.value.hint


def test_another_configuration_is_refused_before_anything_is_written(trainers_peer, tmp_path, saved, convert):
    checkpoint = trainers_peer / "dcp" / "Qwen3MoeForCausalLM"
    assert refusal(convert, checkpoint, tmp_path / "out", "--config", saved("Qwen2ForCausalLM")) == (
        f"`{checkpoint}`: `Qwen2ForCausalLM` has `model.layers.0.self_attn.q_proj.bias`, which the checkpoint has not "
        "(12 are missing); the checkpoint has `model.model.embed_tokens.weight`",
        "name the configuration of the model that was trained: `--config FOLDER`",
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_of_several_models_none_is_chosen(tmp_path, saved, convert):
    state = model_of("Qwen2ForCausalLM").state_dict()
    dcp.save({"model": state, "ema": {name: value + 1 for name, value in state.items()}}, checkpoint_id=tmp_path / "c")
    assert refusal(convert, tmp_path / "c", tmp_path / "out", "--config", saved("Qwen2ForCausalLM")) == (
        f"`{tmp_path}/c`: several models of this class are there: `ema.model.embed_tokens.weight` is of one, and "
        "`model.model.embed_tokens.weight` of another",
        "nobody knows which of them you want: save a checkpoint of that one alone",
    )


@pytest.fixture
def copied(trainers_peer, tmp_path):
    return shutil.copytree(trainers_peer / "dcp_model" / "Qwen2ForCausalLM", tmp_path / "copied")


def test_a_missing_file_of_a_rank_is_named(copied):
    tensors = open_dcp(copied)
    (copied / "__1_0.distcp").unlink()
    assert refusal(tensors["model.embed_tokens.weight"].read, 0, torch.empty(4)) == (
        f"`{copied}`: `__1_0.distcp` is missing, which has a part of `model.embed_tokens.weight`",
        "each rank wrote its own files: copy those left on other nodes, or use an earlier checkpoint",
    )


def test_a_damaged_file_of_a_rank_is_a_sentence(copied):
    tensors = open_dcp(copied)
    (copied / "__1_0.distcp").write_bytes(b"PK")
    error, _ = refusal(tensors["model.embed_tokens.weight"].read, 0, torch.empty(4))
    assert error.startswith(f"`{copied}`: `model.embed_tokens.weight` cannot be read: ")


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (pickle.dumps(Harmful()), "holds a pickled `posix.mkdir`, which torch does not write there and was not loaded"),
        (b"\x80", "cut short or damaged (1 bytes)"),
        (pickle.dumps({}), "no metadata of a checkpoint"),
    ],
)
def test_metadata_that_torch_did_not_write_is_refused_and_not_executed(copied, monkeypatch, content, what):
    monkeypatch.chdir(copied)
    (copied / ".metadata").write_bytes(content)
    assert refusal(open_dcp, copied)[0] == f"`{copied}/.metadata`: {what}"
    assert not (copied / "executed").exists()


def test_a_changed_number_is_seen_by_verify(copied, tmp_path, saved, convert):
    base = saved("Qwen2ForCausalLM")
    convert(copied, tmp_path / "out", "--config", base, "--dtype", "keep")
    metadata = read_metadata(copied)
    info = next(it for index, it in metadata.storage_data.items() if index.fqn == "model.norm.weight")
    file = copied / info.relative_path
    raw = bytearray(file.read_bytes())
    value = whole_tensor(copied, metadata, "model.norm.weight").numpy().tobytes()[:16]
    at = raw.index(value)
    raw[at + 3] ^= 1
    file.write_bytes(raw)
    error, _ = refusal(verify, tmp_path / "out", copied, "Hi", lambda *_: None, base)
    assert "`model.norm.weight` is not the checkpoint's" in error


def test_the_optimizer_and_other_objects_are_not_the_models(trainers_peer):
    names = open_dcp(trainers_peer / "dcp" / "Qwen2ForCausalLM").keys()
    assert any(name.startswith("optimizer.state.") for name in names)
    assert json.dumps(sorted(names))  # names alone: what is no tensor was left out
