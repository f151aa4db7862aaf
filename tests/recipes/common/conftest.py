"""Real sharded checkpoints: of any layout, written in this process; and verl's own, written and merged by verl."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import patience

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

NEEDS_TORCH = ["checkpoint", "inference/test_transformers_engine.py"]
collect_ignore = [] if find_spec("torch") else NEEDS_TORCH


@pytest.fixture
def fake_ranks() -> Callable[[int], AbstractContextManager[None]]:
    """`with fake_ranks(4):` meshes of 4 ranks can be made in this one process."""
    return ranks_of_one_process


@pytest.fixture
def write_role(tmp_path: Path) -> Callable[..., Path]:
    """write_role({name: tensor}, mesh=(4,), dims={name: 1}) is a role's folder as verl leaves it.

    A tensor's dim is where it is cut (0 if not said), None when replicated, "plain" when no DTensor.
    """

    def write(
        tensors: dict[str, Any],
        mesh: tuple[int, ...] = (2,),
        dims: dict[str, int | str | None] | None = None,
        config: dict[str, Any] | None = None,
        name: str = "actor",
    ) -> Path:
        import torch
        from torch.distributed.device_mesh import init_device_mesh

        folder, world = tmp_path / name, torch.Size(mesh).numel()
        (folder / "huggingface").mkdir(parents=True)
        described = {"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": False, **(config or {})}
        (folder / "huggingface" / "config.json").write_text(json.dumps(described))
        (folder / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": world}))
        with ranks_of_one_process(world):
            device_mesh = init_device_mesh("cpu", mesh, mesh_dim_names=("ddp", "fsdp")[-len(mesh) :])
            for rank in range(world):
                state = {
                    key: share(value, (dims or {}).get(key, 0), device_mesh, rank) for key, value in tensors.items()
                }
                torch.save(state, folder / f"model_world_size_{world}_rank_{rank}.pt")
        return folder

    return write


@contextmanager
def ranks_of_one_process(world: int) -> Iterator[None]:
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=0, world_size=world, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()


def share(tensor: Any, dim: int | str | None, mesh: Any, rank: int) -> Any:
    """The rank's DTensor, cut as FSDP cuts: torch.chunk along `dim`, the ranks beyond the last chunk empty."""
    from torch.distributed.tensor import DTensor, Replicate, Shard

    if dim == "plain":
        return tensor
    local, outer = tensor, [Replicate()] * (mesh.ndim - 1)
    if dim is not None:
        chunks = tensor.chunk(mesh.shape[-1], dim)
        empty = tensor.narrow(dim, 0, 0)
        local = (chunks[i] if (i := rank % mesh.shape[-1]) < len(chunks) else empty).clone()
    inner = Replicate() if dim is None else Shard(dim)
    return DTensor.from_local(local, mesh, [*outer, inner], run_check=False, shape=tensor.shape, stride=tensor.stride())


@pytest.fixture(scope="session")
def verl_peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with verl's own checkpoints, `<case>/actor`, and what verl's merger makes of them, `<case>/merged`."""
    return made_by(HERE / "verl_peer.py", tmp_path_factory.mktemp("verl"))


def made_by(script: Path, folder: Path) -> Path:
    """The folder, after a script that needs verl's environment has filled it."""
    if not find_spec("verl"):
        pytest.skip("verl is not installed")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(script), str(folder)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=patience(300))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder
