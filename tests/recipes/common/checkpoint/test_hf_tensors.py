"""A Hugging Face folder is read as a checkpoint is."""

import itertools

import pytest
import torch
from safetensors.torch import save_file

from recipes.common.checkpoint.hf_tensors import open_stored
from recipes.common.stage.command import StageError


def test_any_stretch_of_any_file_is_that_of_the_flattened_tensor(tmp_path):
    one, two = torch.arange(12.0).view(3, 4), torch.arange(6).view(2, 3)
    save_file({"one": one}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"two": two, "pad": torch.zeros(1, dtype=torch.int8)}, tmp_path / "model-00002-of-00002.safetensors")
    opened = open_stored(tmp_path)
    assert {name: (stored.shape, stored.dtype) for name, stored in opened.items()} == {
        "one": ((3, 4), torch.float32),
        "two": ((2, 3), torch.int64),
        "pad": ((1,), torch.int8),
    }
    for tensor, name in ((one, "one"), (two, "two")):
        for start, stop in itertools.combinations(range(tensor.numel() + 1), 2):
            same, other = torch.empty(stop - start, dtype=tensor.dtype), torch.empty(stop - start).double()
            opened[name].read(start, same)
            opened[name].read(start, other)
            assert torch.equal(same, tensor.flatten()[start:stop])
            assert torch.equal(other, tensor.flatten()[start:stop].double())


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(StageError) as caught:
        open_stored(tmp_path)
    assert caught.value.error == f"`{tmp_path}`: no safetensors file and no `fsdp_config.json`"
    assert caught.value.hint == (
        "give one role of a verl FSDP checkpoint, or a Hugging Face model with safetensors weights"
    )
