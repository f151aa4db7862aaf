"""Whatever the layout, what is read is what was sharded."""

import itertools

import pytest
import torch

from recipes.common.checkpoint import sharded_tensor
from recipes.common.checkpoint.fsdp import open_shards
from recipes.common.stage.command import StageError


def numbered(*shape):
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(shape)


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("dim", [0, 1, 2, None, "plain"])
def test_a_tensor_is_what_was_sharded_whether_or_not_the_ranks_divide_it(write_role, world, dim):
    tensors = {f"rows_{rows}": numbered(rows, 5, 6) for rows in (1, 2, 3, 7)}
    opened = open_shards(write_role(tensors, (world,), dict.fromkeys(tensors, dim)))
    for name, tensor in tensors.items():
        assert opened[name].shape == tensor.shape
        assert opened[name].dtype == tensor.dtype
        assert torch.equal(opened[name].full(), tensor)


@pytest.mark.parametrize("dim", [0, 1, 2, None])
def test_any_stretch_is_that_stretch_of_the_flattened_tensor(write_role, dim):
    tensor = numbered(3, 5, 4)
    opened = open_shards(write_role({"w": tensor}, (3,), {"w": dim}))["w"]
    for start, stop in itertools.combinations(range(tensor.numel() + 1), 2):
        out = torch.full((stop - start,), -1.0)
        opened.read(start, out)
        assert torch.equal(out, tensor.flatten()[start:stop]), (start, stop)


def test_a_stretch_goes_where_the_given_view_lies_and_nowhere_else(write_role):
    opened = open_shards(write_role({"w": numbered(4, 6)}, (2,), {"w": 1}))["w"]
    buffer = torch.full((12,), -1.0)
    opened.read(5, buffer[3:10])
    assert buffer.tolist() == [-1, -1, -1, 5, 6, 7, 8, 9, 10, 11, -1, -1]


def test_reading_casts_to_the_type_of_the_buffer_as_torch_does(write_role):
    tensor = torch.randn(64, 3) * 1e3
    opened = open_shards(write_role({"w": tensor}, (3,)))["w"]
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        out = torch.empty(tensor.numel(), dtype=dtype)
        opened.read(0, out)
        assert torch.equal(out, tensor.to(dtype).flatten())


@pytest.mark.parametrize("tensor", [torch.tensor(3), torch.empty(0, 4), torch.tensor([True, False]), torch.tensor([7])])
def test_scalars_empty_tensors_and_whole_numbers_are_read_too(write_role, tensor):
    opened = open_shards(write_role({"w": tensor}, (3,), {"w": "plain" if tensor.ndim == 0 else 0}))["w"]
    assert torch.equal(opened.full(), tensor)
    assert opened.full().dtype == tensor.dtype


@pytest.mark.parametrize("dim", [0, 1, None, "plain"])
def test_with_replicas_the_first_row_of_the_mesh_is_enough(write_role, dim):
    tensor = numbered(5, 7)
    folder = write_role({"w": tensor}, (2, 2), {"w": dim})
    if dim != "plain":
        for rank in (2, 3):
            (folder / f"model_world_size_4_rank_{rank}.pt").unlink()
    else:
        # Without a DTensor nothing tells which ranks are replicas, so all are read.
        assert len(open_shards(folder)["w"].copies) == 3
    assert torch.equal(open_shards(folder)["w"].full(), tensor)


@pytest.mark.parametrize("dim", [None, "plain"])
def test_copies_that_differ_are_an_error_even_in_a_sign_of_zero(write_role, dim):
    folder = write_role({"w": torch.zeros(9), "v": numbered(4, 2)}, (2,), {"w": dim})
    other = write_role({"w": -torch.zeros(9), "v": numbered(4, 2)}, (2,), {"w": dim}, name="other")
    file = "model_world_size_2_rank_1.pt"
    (other / file).replace(folder / file)
    opened = open_shards(folder)
    assert torch.equal(opened["v"].full(), numbered(4, 2))
    with pytest.raises(StageError) as caught:
        opened["w"].full()
    assert caught.value.error == f"`{folder}`: `w` is replicated, but not the same on every rank"
    assert caught.value.hint == "the ranks of this run had drifted apart: use an earlier checkpoint"


def test_equal_copies_of_nan_are_equal(write_role):
    opened = open_shards(write_role({"w": torch.tensor([1.0, float("nan")])}, (2,), {"w": None}))["w"]
    assert opened.full().isnan().tolist() == [False, True]


def test_blocks_cover_every_tensor_in_order_and_the_disk_is_asked_before_each(write_role, monkeypatch):
    monkeypatch.setattr(sharded_tensor, "BLOCK", 10)
    monkeypatch.setattr(sharded_tensor, "READ_AHEAD", 60)
    asked = []
    monkeypatch.setattr(
        sharded_tensor.ShardedTensor, "fetch_soon", lambda self, start, stop: asked.append((self.name, start, stop))
    )
    opened = open_shards(write_role({"a": numbered(5, 5), "none": torch.empty(0), "b": numbered(11)}, (2,)))
    expected = [("a", 0, 10), ("a", 10, 20), ("a", 20, 25), ("none", 0, 0), ("b", 0, 10), ("b", 10, 11)]
    for position, (tensor, start, stop) in enumerate(sharded_tensor.read_ahead(opened.values())):
        assert (tensor.name, start, stop) == expected[position]
        ahead = sum(end - begin for _, begin, end in asked[position + 1 :]) * 4
        assert asked[position] == expected[position]
        assert ahead <= 60
        assert len(asked) == len(expected) or ahead > 60 - 40
    assert asked == expected


def test_names_that_share_bytes_in_the_file_are_known_to(write_role):
    tensor, same_values = numbered(4, 4), numbered(4, 4)
    opened = open_shards(write_role({"a": tensor, "b": tensor, "c": same_values}, (2,), dict.fromkeys("abc", "plain")))
    assert opened["a"].shares_memory(opened["b"])
    assert not opened["a"].shares_memory(opened["c"])
