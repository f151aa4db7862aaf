"""An export is opened before the machine that made it is ended: what no program could load is said."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import FAILED, LaunchError
from launcher.transfer.verify import check_model


def weights(path, tensors, cut=0, **changed):
    """A safetensors file of zeros."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size], **changed}
        at += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * (at - cut))


TENSORS = {"a.weight": ("BF16", [4, 3], 24), "b.weight": ("F32", [5], 20)}


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "export"
    weights(folder / "model.safetensors", TENSORS)
    (folder / "config.json").write_text('{"model_type": "toy"}')
    (folder / "tokenizer.json").write_text("{}")
    return folder


def refused(export):
    with pytest.raises(LaunchError) as problem:
        check_model(export)
    assert problem.value.code == FAILED
    return problem.value.error


def test_a_whole_model_is_counted(export):
    assert check_model(export) == {"tensors": 2, "parameters": 17}


def test_an_export_without_weights_is_no_model(tmp_path):
    (tmp_path / "report.json").write_text("[]")
    assert check_model(tmp_path) == {"tensors": 0, "parameters": 0}


def test_an_adapter_beside_its_merged_model_is_a_model_too(export):
    weights(export / "adapter/adapter_model.safetensors", {"lora": ("F32", [2, 2], 16)})
    (export / "adapter/adapter_config.json").write_text('{"peft_type": "LORA"}')
    assert check_model(export) == {"tensors": 3, "parameters": 21}


def test_a_file_that_was_cut_off_is_refused(export):
    path = export / "model.safetensors"
    size = path.stat().st_size
    weights(path, TENSORS, cut=1)
    assert refused(export) == f"`{path}` is damaged: it has {size - 1:,} bytes, its header says {size:,}"
    path.write_bytes(path.read_bytes()[:20])
    assert refused(export) == f"`{path}` is damaged: its header is longer than the file"


def test_a_tensor_whose_shape_is_not_its_size_is_refused(export):
    weights(export / "model.safetensors", {"a": ("BF16", [4, 3], 20)})
    assert refused(export).endswith("`a` has 20 bytes, its shape needs another number")


def test_a_shard_that_the_index_names_and_nobody_sent_is_missed(export):
    index = export / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a.weight": "model.safetensors", "c.weight": "model-2.safetensors"}}))
    assert refused(export) == (
        f"`{index}` is damaged: `c.weight` should be in `model-2.safetensors`, and is in no file"
    )


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("config.json", None, "it does not exist"),
        ("config.json", "{", "it cannot be read"),
        (
            "config.json",
            "{}",
            "it has none of `model_type`, `architectures`, `peft_type`, so nobody knows the model",
        ),
        ("tokenizer.json", "[]", "it is not a table"),
    ],
)
def test_what_describes_the_model_can_be_read(export, name, text, why):
    (export / name).unlink()
    if text is not None:
        (export / name).write_text(text)
    assert refused(export) == f"`{export / name}` is damaged: {why}"


def test_an_index_that_names_a_file_that_is_not_there_is_refused(export):
    index = export / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a.weight": "model-2.safetensors", "b.weight": "model.safetensors"}}))
    assert refused(export) == f"`{index}` is damaged: it names `model-2.safetensors`, which does not exist"


@pytest.mark.parametrize(
    ("names", "index", "odd", "why"),
    [
        (["model-1.safetensors", "model-2.safetensors"], None, 0, "nobody reads it without `{index}`"),
        (["model-1.safetensors"], None, 0, "nobody reads it without `{index}`"),
        (["model.safetensors", "model-2.safetensors"], None, 1, "nobody reads it beside `model.safetensors`"),
        (
            ["model-1.safetensors", "model-2.safetensors"],
            {"a": "model-1.safetensors"},
            1,
            "nobody reads it: it is not in `{index}`",
        ),
        (
            ["model.safetensors", "pytorch_model.bin"],
            None,
            1,
            "it lies beside safetensors files, and a reader may take it for the weights",
        ),
    ],
    ids=["no index", "one shard alone", "shadowed", "not in the index", "pickle"],
)
def test_weights_that_no_reader_would_read_or_that_hide_others_are_refused(export, names, index, odd, why):
    (export / "model.safetensors").unlink()
    for number, name in enumerate(names):
        weights(export / name, {"ab"[number]: ("F32", [1], 4)})
    if index:
        (export / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert refused(export) == (
        f"`{export / names[odd]}` is damaged: {why.format(index='model.safetensors.index.json')}"
    )


def test_shards_with_their_index_are_a_model(export):
    (export / "model.safetensors").rename(export / "model-1.safetensors")
    weights(export / "model-2.safetensors", {"c": ("F32", [1], 4)})
    names = {"a.weight": "model-1.safetensors", "b.weight": "model-1.safetensors", "c": "model-2.safetensors"}
    (export / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert check_model(export) == {"tensors": 3, "parameters": 18}


@pytest.mark.parametrize(
    ("kind", "needs"),
    [
        ("Qwen2ForCausalLM", True),
        ("Qwen2VLForConditionalGeneration", True),
        ("Qwen2ForTokenClassification", False),
    ],
)
def test_a_language_model_has_a_tokenizer(export, kind, needs):
    (export / "config.json").write_text(json.dumps({"architectures": [kind]}))
    assert check_model(export)["tensors"] == 2
    (export / "tokenizer.json").unlink()
    if needs:
        assert refused(export) == (
            f"`{export / 'tokenizer.json'}` is damaged: it does not exist, and `{kind}` needs a tokenizer"
        )
    else:
        assert check_model(export)["tensors"] == 2


@given(content=st.binary(max_size=200))
def test_bytes_that_are_no_model_are_a_sentence(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    (folder / "model.safetensors").write_bytes(content)
    (folder / "config.json").write_text("{}")
    try:
        assert check_model(folder)["tensors"] == 0
    except LaunchError as problem:
        assert problem.code == FAILED
