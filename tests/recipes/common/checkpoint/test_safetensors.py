"""Headers that the safetensors library agrees with."""

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes.common.checkpoint.safetensors import TYPES, Entry, header, index, plan_files, read_header
from recipes.common.stage.command import StageError


def entry(name, elements, dtype=torch.bfloat16):
    return Entry(name, (elements,), dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_the_library_reads_what_the_header_describes(tmp_path, dtype):
    entries = [Entry("scalar", (), dtype), Entry("none", (0, 3), dtype), Entry('a "name" é', (2, 3), dtype)]
    (tmp_path / "w").write_bytes(header(entries) + bytes(sum(entry.nbytes for entry in entries)))
    loaded = load_file(tmp_path / "w")
    assert {name: (tuple(value.shape), value.dtype) for name, value in loaded.items()} == {
        entry.name: (entry.shape, dtype) for entry in entries
    }


def test_a_header_ends_on_eight_bytes_and_names_pytorch(tmp_path):
    for letters in range(1, 9):
        text = header([entry("x" * letters, 1)])
        assert len(text) % 8 == 0
        assert json.loads(text[8:])["__metadata__"] == {"format": "pt"}


def test_every_tensor_is_aligned_to_its_type():
    types = [torch.bool, torch.int64, torch.uint8, torch.bfloat16, torch.float32, torch.float64]
    (group,) = plan_files([entry(str(i), 3, dtype) for i, dtype in enumerate(types)], 10**9).values()
    start = 0
    for planned in group:
        assert start % planned.dtype.itemsize == 0
        start += planned.nbytes


def test_files_hold_what_fits_in_the_models_order():
    entries = [entry("a", 4), entry("b", 1), entry("large", 100), entry("c", 5), entry("d", 5), entry("e", 1)]
    files = {name: [planned.name for planned in group] for name, group in plan_files(entries, 20).items()}
    assert files == {
        "model-00001-of-00004.safetensors": ["a", "b"],
        "model-00002-of-00004.safetensors": ["large"],
        "model-00003-of-00004.safetensors": ["c", "d"],
        "model-00004-of-00004.safetensors": ["e"],
    }
    assert list(plan_files(entries, 10**9)) == ["model.safetensors"]


def test_the_index_counts_bytes_and_elements():
    assert index({"x": [entry("a", 4), entry("b", 1, torch.int64)], "y": [entry("c", 5)]}) == {
        "metadata": {"total_parameters": 10, "total_size": 26},
        "weight_map": {"a": "x", "b": "x", "c": "y"},
    }


def test_a_type_that_safetensors_has_not_is_refused():
    with pytest.raises(StageError) as caught:
        plan_files([entry("w", 2, torch.complex64)], 100)
    assert caught.value.error == "`w` is of type `torch.complex64`, which a safetensors file cannot hold"
    assert caught.value.hint == (
        "leave the tensor out of the checkpoint: register it as a buffer with `persistent=False`"
    )


def test_the_librarys_own_headers_are_read(tmp_path):
    tensors = {"a": torch.ones(2, 3), "b": torch.arange(5)}
    save_file(tensors, tmp_path / "w", metadata={"format": "pt"})
    content = (tmp_path / "w").read_bytes()
    found = read_header(tmp_path / "w")
    assert {name: described for name, (described, _) in found.items()} == {
        "a": Entry("a", (2, 3), torch.float32),
        "b": Entry("b", (5,), torch.int64),
    }
    for name, (described, start) in found.items():
        assert content[start : start + described.nbytes] == tensors[name].numpy().tobytes()


@pytest.mark.parametrize("damage", [lambda b: b[:4], lambda b: b[:20], lambda b: b[:-1], lambda b: b"{" * 64])
def test_a_damaged_file_is_refused(tmp_path, damage):
    file = tmp_path / "w"
    save_file({"a": torch.ones(2, 3)}, file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StageError) as caught:
        read_header(file)
    assert caught.value.error == f"`{file}`: cut short, or not a safetensors file"
    assert caught.value.hint == "copy or download the file again"


@pytest.mark.parametrize(
    "changed",
    [
        {
            "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        },
        {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, -8]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {"a": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
        {"a": {"dtype": "F32", "shape": [1] * 99, "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2**70, 0], "data_offsets": [0, 0]}},
    ],
    ids=["shared bytes", "less than nothing", "a gap", "halves", "backwards", "dimensions", "beyond any disk"],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path, changed):
    text = json.dumps(changed).encode()
    (tmp_path / "w").write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    with pytest.raises(StageError) as caught:
        read_header(tmp_path / "w")
    assert caught.value.error == f"`{tmp_path / 'w'}`: cut short, or not a safetensors file"
