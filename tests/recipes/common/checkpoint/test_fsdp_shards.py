"""Shards that do not make the tensors are refused before a byte of them is read."""

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Shard
from torch.distributed.tensor.placement_types import _StridedShard

from recipes.common.checkpoint.fsdp import open_shards
from recipes.common.stage.command import StageError

MIXED = "the rank files do not come from one save: copy them again, or use another checkpoint"


def file(folder, rank, world=2):
    return folder / f"model_world_size_{world}_rank_{rank}.pt"


def refusal(folder):
    with pytest.raises(StageError) as caught:
        open_shards(folder)
    return caught.value.error, caught.value.hint


@pytest.fixture
def mix(write_role):
    """mix(ours, theirs, dims) is a folder whose rank 1 is of another checkpoint."""

    def mixed(ours, theirs, dims=None, their_dims=None):
        folder = write_role(ours, (2,), dims)
        file(write_role(theirs, (2,), their_dims or dims, name="other"), 1).replace(file(folder, 1))
        return folder

    return mixed


def test_every_rank_must_have_the_same_names(mix):
    folder = mix({"a": torch.ones(4), "b": torch.ones(4)}, {"a": torch.ones(4), "c": torch.ones(4)})
    assert refusal(folder) == (f"`{folder}`: only one of rank 0 and rank 1 has `b`", MIXED)


@pytest.mark.parametrize("dims", [{"w": 0}, {"w": 1}, {"w": None}, {"w": "plain"}])
def test_every_rank_must_see_the_same_shape(mix, dims):
    folder = mix({"w": torch.ones(4, 4)}, {"w": torch.ones(6, 6)}, dims)
    assert refusal(folder) == (f"`{folder}`: `w` has another shape or placement on another rank", MIXED)


@pytest.mark.parametrize("theirs", [1, None, "plain"])
def test_every_rank_must_see_the_same_placement(mix, theirs):
    folder = mix({"w": torch.ones(4, 4)}, {"w": torch.ones(4, 4)}, {"w": 0}, {"w": theirs})
    assert refusal(folder) == (f"`{folder}`: `w` has another shape or placement on another rank", MIXED)


def test_every_rank_must_hold_the_same_type(mix):
    folder = mix({"w": torch.ones(4)}, {"w": torch.ones(4).bfloat16()})
    assert refusal(folder) == (f"`{folder}`: `w` has another type on another rank", MIXED)


@pytest.mark.parametrize(
    ("dim", "shape", "sizes"),
    [
        (0, [2, 4], "`[3, 4]`, `[2, 4]`"),  # a row is missing
        (0, [3, 5], "`[3, 4]`, `[3, 5]`"),  # rows of another length
        (1, [6, 1], "`[6, 2]`, `[6, 1]`"),  # a column is missing
        (0, [4, 3], "`[3, 4]`, `[4, 3]`"),  # as many elements, but not these
    ],
)
def test_the_shards_must_make_the_shape(write_role, dim, shape, sizes):
    folder = write_role({"w": torch.ones(6, 4)}, (2,), {"w": dim})
    state = torch.load(file(folder, 1), weights_only=True)
    state["w"]._local_tensor = torch.ones(shape)
    torch.save(state, file(folder, 1))
    assert refusal(folder) == (f"`{folder}`: `w` is `[6, 4]`, but the ranks have parts of {sizes}", MIXED)


def test_a_transposed_tensor_is_refused(write_role):
    folder = write_role({"w": torch.ones(2, 3).T}, (1,), {"w": "plain"})
    assert refusal(folder) == (f"`{folder}`: `w` is not contiguous in its file", MIXED)


@pytest.fixture
def save_with(write_role, fake_ranks):
    """save_with(mesh, axes, placements) is a role of 2 ranks of which rank 0 says so about `w`."""

    def save(mesh, axes, placements):
        folder = write_role({"w": torch.ones(4)}, (2,))
        with fake_ranks(torch.Size(mesh).numel()):
            device_mesh = init_device_mesh("cpu", mesh, mesh_dim_names=axes)
            state = {"w": DTensor.from_local(torch.ones(2), device_mesh, placements, run_check=False)}
            torch.save(state, file(folder, 0))
        return folder

    return save


@pytest.mark.parametrize(("mesh", "axes"), [((1, 2), ("fsdp", "tp")), ((2,), ("tp",)), ((2,), None)])
def test_another_mesh_is_refused_as_by_verls_merger(save_with, mesh, axes):
    folder = save_with(mesh, axes, [Shard(0)] * len(mesh))
    assert refusal(folder) == (
        f"`{folder}`: `w` lies on the mesh `{axes}`; only `('fsdp',)` and `('ddp', 'fsdp')` can be read",
        "save the checkpoint from a run without tensor or expert parallelism",
    )


def test_a_mesh_of_another_size_is_refused(save_with):
    folder = save_with((4,), ("fsdp",), [Shard(0)])
    assert refusal(folder) == (f"`{folder}`: `w` lies on a mesh of 4 ranks, `fsdp_config.json` says `2`", MIXED)


@pytest.mark.parametrize("placement", [Partial(), _StridedShard(0, split_factor=2)])
def test_another_placement_is_refused(save_with, placement):
    folder = save_with((2,), ("fsdp",), [placement])
    assert refusal(folder) == (
        f"`{folder}`: `w` is placed as `({placement!r},)`, which cannot be read",
        "only tensors that are replicated, or cut along one dimension of the `fsdp` axis, can be put together",
    )
