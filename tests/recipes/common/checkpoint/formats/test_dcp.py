"""What torch.distributed.checkpoint saved of a sharded model becomes what `save_pretrained` writes of it."""

import json
import os
import pickle
import shutil
from dataclasses import replace

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata

from recipes.common.checkpoint import verify as module
from recipes.common.checkpoint.formats.dcp import open_dcp, read_metadata, whole_tensor
from recipes.common.checkpoint.verify import verify
from recipes.common.stage.command import StageError
from tests.recipes.common.checkpoint.architectures import model_of
from tests.recipes.common.checkpoint.formats.written import resaved, written

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
    file = copied / "__1_0.distcp"
    file.write_bytes(bytes(file.stat().st_size))
    error, _ = refusal(tensors["model.embed_tokens.weight"].read, 0, torch.empty(4))
    assert error.startswith(f"`{copied}`: `model.embed_tokens.weight` cannot be read: ")
    file.write_bytes(b"PK")
    error, _ = refusal(tensors["model.embed_tokens.weight"].read, 0, torch.empty(4))
    assert error == f"`{file}`: cut short: a piece of `model.embed_tokens.weight` lies behind its end"


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


def chunk(offsets, sizes):
    return ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"chunks": []}, "`w` is `[4, 2]`, and its pieces have 0 of its 8 elements"),
        ({"chunks": [chunk([0, 0], [2, 2])]}, "`w` is `[4, 2]`, and its pieces have 4 of its 8 elements"),
        ({"chunks": [chunk([0, 0], [2, 2])] * 2}, "`w` is `[4, 2]`, and two of its pieces have the same elements"),
        (
            {"chunks": [chunk([0, 0], [3, 2]), chunk([3, 1], [1, 2])]},
            "`w` is `[4, 2]`, and one of its pieces ends outside of it",
        ),
        (
            {"size": torch.Size([1 << 40, 1 << 20])},
            f"`w` is `[{1 << 40}, {1 << 20}]`, and its pieces have 8 of its {1 << 60} elements",
        ),
        ({"size": None}, "damaged ('NoneType' object is not iterable)"),
    ],
)
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_pieces_that_do_not_make_the_tensor_are_refused(tmp_path, change, what):
    dcp.save({"w": torch.ones(4, 2)}, checkpoint_id=tmp_path)
    metadata = read_metadata(tmp_path)
    metadata.state_dict_metadata["w"] = replace(metadata.state_dict_metadata["w"], **change)
    (tmp_path / ".metadata").write_bytes(pickle.dumps(metadata))
    assert refusal(open_dcp, tmp_path)[0] == f"`{tmp_path}/.metadata`: {what}"


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_size_that_no_file_has_is_refused_before_memory_is_taken(tmp_path):
    dcp.save({"w": torch.ones(4, 2)}, checkpoint_id=tmp_path)
    metadata, huge = read_metadata(tmp_path), torch.Size([1 << 40, 2])
    described = metadata.state_dict_metadata["w"]
    metadata.state_dict_metadata["w"] = replace(described, size=huge, chunks=[chunk([0, 0], huge)])
    (tmp_path / ".metadata").write_bytes(pickle.dumps(metadata))
    error, _ = refusal(open_dcp(tmp_path)["w"].read, 0, torch.empty(2))
    assert error == f"`{tmp_path}`: `w` is `[{1 << 40}, 2]`, and its files have less of it"


def test_a_changed_number_is_seen_by_verify(copied, tmp_path, saved, convert):
    base = saved("Qwen2ForCausalLM")
    convert(copied, tmp_path / "out", "--config", base, "--dtype", "keep")
    metadata = read_metadata(copied)
    info = next(it for index, it in metadata.storage_data.items() if index.fqn == "model.norm.weight")
    file = copied / info.relative_path
    whole, end = file.read_bytes(), info.offset + info.length
    value = whole_tensor(copied, metadata, "model.norm.weight").numpy().tobytes()[:16]
    other = value[:3] + bytes([value[3] ^ 1]) + value[4:]
    file.write_bytes(whole[: info.offset] + whole[info.offset : end].replace(value, other) + whole[end:])
    error, _ = refusal(convert, copied, tmp_path / "damaged", "--config", base)
    assert error == f"`{file}`: `model.norm.weight` is damaged: its record `archive/data/0` is not what was saved"
    file.write_bytes(whole[: info.offset] + resaved(whole[info.offset : end], value, other) + whole[end:])
    error, _ = refusal(verify, tmp_path / "out", copied, "Hi", lambda *_: None, base)
    assert "`model.norm.weight` is not the checkpoint's" in error


def test_the_optimizer_and_other_objects_are_not_the_models(trainers_peer):
    names = open_dcp(trainers_peer / "dcp" / "Qwen2ForCausalLM").keys()
    assert any(name.startswith("optimizer.state.") for name in names)
    assert json.dumps(sorted(names))  # names alone: what is no tensor was left out
