"""The exported model is what verl's merger makes of verl's checkpoint, bit for bit, under the right name."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer

from recipes.common.checkpoint import convert as module
from recipes.common.checkpoint.convert import DTYPES, Summary, convert
from recipes.common.checkpoint.fsdp import open_shards
from recipes.common.checkpoint.sharded_tensor import ShardedTensor
from recipes.common.stage.command import StageError

WHOLE = 10**12
FSDP1, FSDP2 = ["fsdp1", "fsdp1_hybrid"], ["fsdp2", "fsdp2_uneven", "fsdp2_columns", "fsdp2_hybrid", "fsdp2_alone"]
CASES = [*FSDP1, *FSDP2, "tied", "critic"]


def silent(written, total):
    pass


def loaded(folder):
    tensors = {}
    for file in folder.glob("*.safetensors"):
        tensors |= load_file(file)
    return tensors


def bits(tensors):
    return {name: (value.dtype, value.shape, value.view(torch.uint8).tolist()) for name, value in tensors.items()}


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def converted(source, target, dtype=torch.bfloat16, max_shard_bytes=WHOLE):
    return convert(source, target, dtype, max_shard_bytes, silent)


@pytest.mark.parametrize("case", CASES)
def test_every_bit_is_that_of_verls_merger(verl_peer, tmp_path, case):
    converted(verl_peer / case / "actor", tmp_path / "out")
    assert bits(loaded(tmp_path / "out")) == bits(loaded(verl_peer / case / "merged"))


def test_verls_checkpoints_are_of_every_kind(verl_peer):
    columns = open_shards(verl_peer / "fsdp2_columns" / "actor")["model.layers.0.mlp.gate_proj.weight"]
    empty = open_shards(verl_peer / "critic" / "actor")["score.bias"]
    uneven = open_shards(verl_peer / "fsdp2_uneven" / "actor")["model.norm.weight"]
    assert [part.rows.shape for part in columns.parts] == [(64, 16)] * 3
    assert [part.rows.shape for part in empty.parts] == [(1, 1)]
    assert [part.rows.shape for part in uneven.parts] == [(1, 10)] * 4 + [(1, 8)]


@pytest.mark.parametrize("case", CASES)
def test_in_one_file_or_in_many_the_tensors_are_the_same(verl_peer, tmp_path, case):
    one = converted(verl_peer / case / "actor", tmp_path / "one")
    many = converted(verl_peer / case / "actor", tmp_path / "many", max_shard_bytes=20_000)
    assert (one.files, many.files > 3) == (1, True)
    assert bits(loaded(tmp_path / "many")) == bits(loaded(tmp_path / "one"))


def test_many_files_with_their_index_open_in_transformers(verl_peer, tmp_path):
    summary = converted(verl_peer / "fsdp2" / "actor", tmp_path, max_shard_bytes=20_000)
    model, info = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto", output_loading_info=True)
    assert not any(info.values())
    assert model.dtype == torch.bfloat16
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": summary.bytes, "total_parameters": summary.parameters}
    assert index["weight_map"].keys() == loaded(tmp_path).keys()
    for name, value in loaded(verl_peer / "fsdp2" / "merged").items():
        assert torch.equal(model.state_dict()[name], value)


def test_a_tied_model_opens_with_its_head(verl_peer, tmp_path):
    converted(verl_peer / "tied" / "actor", tmp_path / "out")
    assert "lm_head.weight" not in loaded(tmp_path / "out")
    model, info = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values())
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


def test_a_critic_is_labelled_as_one_and_opens_as_one(verl_peer, tmp_path):
    summary = converted(verl_peer / "critic" / "actor", tmp_path / "out")
    assert config_of(verl_peer / "critic" / "merged")["architectures"] == ["Qwen2ForCausalLM"]
    assert summary.architecture == "Qwen2ForTokenClassification"
    assert config_of(tmp_path / "out")["architectures"] == ["Qwen2ForTokenClassification"]
    model, info = AutoModelForTokenClassification.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values())
    assert model.num_labels == 1
    assert torch.equal(model.score.weight, loaded(verl_peer / "critic" / "merged")["score.weight"])


def test_the_summary_counts_what_was_written(verl_peer, tmp_path):
    told = []
    summary = convert(verl_peer / "fsdp2" / "actor", tmp_path, None, WHOLE, lambda *step: told.append(step))
    tensors = loaded(tmp_path)
    elements = sum(value.numel() for value in tensors.values())
    assert told == [(i, len(tensors)) for i in range(1, len(tensors) + 1)]
    role = verl_peer / "fsdp2" / "actor"
    vouched = f"no `complete.json` is beside `{role}`: nothing vouches that its rank files are of one save"
    assert summary == Summary(
        "Qwen2ForCausalLM", "float32", len(tensors), elements, elements * 4, 1, summary.seconds, vouched
    )
    assert str(Summary("Qwen2ForCausalLM", "bfloat16", 339, 1_777_088_000, 3_554_176_000, 1, 12.34)) == (
        "Qwen2ForCausalLM: 339 tensors, 1,777,088,000 parameters, bfloat16, 3.55 GB, files: 1, 12.3 s"
    )


@pytest.mark.parametrize("word", DTYPES)
@pytest.mark.parametrize("trained", [torch.float32, torch.bfloat16])
def test_numbers_are_cast_and_whole_numbers_are_not(write_role, tmp_path, word, trained):
    values = torch.randn(7, 5).to(trained)
    counter = torch.tensor([2**40 + 1])
    folder = write_role(
        {"flag": torch.tensor([True]), "w": values, "n": counter}, (3,), {"n": "plain", "flag": "plain"}
    )
    dtype = DTYPES[word]
    converted(folder, tmp_path / "out", dtype)
    tensors = loaded(tmp_path / "out")
    assert bits(tensors) == bits({"w": values.to(dtype or trained), "n": counter, "flag": torch.tensor([True])})
    assert config_of(tmp_path / "out")["dtype"] == str(dtype or trained).removeprefix("torch.")


def test_blocks_meet_without_seam(write_role, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 11)
    monkeypatch.setattr("recipes.common.checkpoint.sharded_tensor.BLOCK", 11)
    tensors = {f"w{dim}": torch.randn(6, 9) for dim in (0, 1, None)}
    tensors |= {"empty": torch.empty(0, 3), "after": torch.randn(3)}
    folder = write_role(tensors, (4,), {"w0": 0, "w1": 1, "wNone": None})
    converted(folder, tmp_path / "out", None)
    assert bits(loaded(tmp_path / "out")) == bits(tensors)


def test_tokenizer_and_settings_come_along_and_old_weights_do_not(verl_peer, tmp_path):
    role = tmp_path / "actor"
    shutil.copytree(verl_peer / "fsdp2" / "actor", role)
    beside = role / "huggingface"
    (beside / "additional_chat_templates").mkdir()
    (beside / "additional_chat_templates" / "tool.jinja").write_text("x")
    (beside / "generation_config.json").write_text('{"do_sample": true}')
    for stale in ("model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin"):
        (beside / stale).write_text("stale")
    converted(role, tmp_path / "out")
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {
        "additional_chat_templates/tool.jinja",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(beside).chat_template


def refusal(*args):
    with pytest.raises(StageError) as caught:
        converted(*args)
    return caught.value.error, caught.value.hint


def test_a_disk_without_room_is_seen_before_anything_is_written(write_role, tmp_path, monkeypatch):
    folder = write_role({"w": torch.ones(1000, 500)})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 990_000))
    monkeypatch.setattr(ShardedTensor, "read", lambda *args: pytest.fail("a tensor was read"))
    (tmp_path / "disk").mkdir()
    assert refusal(folder, tmp_path / "disk" / "out", torch.float32) == (
        f"`{tmp_path / 'disk'}`: the model needs 0.002 GB, 0.001 GB are free",
        "free some space, or name a folder on another disk",
    )
    assert list((tmp_path / "disk").iterdir()) == []


def test_what_float16_cannot_hold_is_refused(write_role, tmp_path):
    folder = write_role({"w": torch.tensor([1.0, 65504.0]), "v": torch.tensor([1.0, -7e4])}, (2,))
    assert refusal(folder, tmp_path / "out", torch.float16) == (
        "`v` has values beyond 65504, which float16 cannot hold",
        "convert with `--dtype bfloat16`",
    )
    assert not (tmp_path / "out").exists()
