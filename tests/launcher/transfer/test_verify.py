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
    (export / "adapter/adapter_config.json").write_text("{}")
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
    index.write_text(json.dumps({"weight_map": {"a.weight": "x", "c.weight": "model-2.safetensors"}}))
    assert refused(export) == (
        f"`{index}` is damaged: `c.weight` should be in `model-2.safetensors`, and is in no file"
    )


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("config.json", None, "it does not exist"),
        ("config.json", "{", "it cannot be read"),
        ("tokenizer.json", "[]", "it is not a table"),
    ],
)
def test_what_describes_the_model_can_be_read(export, name, text, why):
    (export / name).unlink()
    if text is not None:
        (export / name).write_text(text)
    assert refused(export) == f"`{export / name}` is damaged: {why}"


@given(content=st.binary(max_size=200))
def test_bytes_that_are_no_model_are_a_sentence(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    (folder / "model.safetensors").write_bytes(content)
    (folder / "config.json").write_text("{}")
    try:
        assert check_model(folder)["tensors"] == 0
    except LaunchError as problem:
        assert problem.code == FAILED
