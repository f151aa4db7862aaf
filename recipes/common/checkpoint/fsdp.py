"""The tensors of one role of a verl FSDP checkpoint, by name.

    weights = open_shards(Path("global_step_100/actor"))
    weights["model.norm.weight"].full()

The layouts are those that verl 0.9.1 writes with FSDP1 and FSDP2 and that its merger reads
(`verl/model_merger/fsdp_model_merger.py`): a mesh `("fsdp",)` or `("ddp", "fsdp")`, on which each tensor is replicated
or cut along one dimension (verl's engine takes the first). What FSDP did not wrap is plain, and whole on every rank.

A role's folder (`.../global_step_N/actor`) is what verl's FSDPCheckpointManager leaves: `fsdp_config.json` with the
world size W, `huggingface/` with config and tokenizer, and for every rank R a `model_world_size_W_rank_R.pt`, a pickled
dictionary from each tensor's name to the rank's share of it. The files are mapped into memory, and never executed.
"""

import functools
import logging
import math
import mmap
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch.distributed import _mesh_layout
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard  # makes DTensor and its parts known to `weights_only`

from recipes.common.checkpoint.records import AGAIN, Checksums, Record, read_records
from recipes.common.checkpoint.sharded_tensor import Part, ShardedTensor, drop
from recipes.common.stage.command import StageError
from recipes.common.stage.files import read_json

RANK_FILES = "model_world_size_*_rank_*.pt"
NO_MEMORY = "Cannot allocate memory"
LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""How a file begins that torch wrote before 1.6 (torch/serialization.py, `MAGIC_NUMBER`)."""


def open_shards(folder: Path, checksums: Checksums | None = None) -> dict[str, ShardedTensor]:
    """Every tensor of the role `folder`, in the model's order; names and shapes are in memory, the rest is on disk.
    With `checksums` all that is read of them is compared with the CRC-32 that it was saved with.

    StageError when a file is missing, damaged or holds more than tensors, or when the shards do not make the tensors.
    """
    world = world_size(folder)
    first = load_rank(folder, world, 0)
    ranks = replica(folder, world, first)
    states = [first, *(load_rank(folder, world, rank) for rank in ranks[1:])]
    for rank, state in zip(ranks, states, strict=True):
        if odd := sorted(first.keys() ^ state.keys()):
            raise _torn(folder, f"only one of rank 0 and rank {rank} has `{odd[0]}`")
    files = [rank_file(folder, world, rank) for rank in ranks]
    homes = [_home(file, state, checksums) for file, state in zip(files, states, strict=True)]
    return {name: _assemble(folder, name, [state[name] for state in states], homes) for name in first}


def replica(folder: Path, world: int, state: dict[str, torch.Tensor]) -> list[int]:
    """The ranks that hold one whole model: with `("ddp", "fsdp")` the first row of the mesh, otherwise all."""
    ranks = list(range(world))
    for name, value in state.items():
        if not isinstance(value, DTensor):
            continue
        axes, mesh = value.device_mesh.mesh_dim_names, mesh_ranks(value.device_mesh)
        if axes not in (("fsdp",), ("ddp", "fsdp")):
            raise StageError(
                f"`{folder}`: `{name}` lies on the mesh `{axes}`; only `('fsdp',)` and `('ddp', 'fsdp')` can be read",
                "save the checkpoint from a run without tensor or expert parallelism",
            )
        if mesh.numel() != world:
            raise _torn(folder, f"`{name}` lies on a mesh of {mesh.numel()} ranks, `fsdp_config.json` says `{world}`")
        ranks = mesh.reshape(-1, mesh.shape[-1])[0].tolist()
    return ranks


def mesh_ranks(mesh: DeviceMesh) -> torch.Tensor:
    """The ranks of a mesh, in its shape. torch 2.13 keeps the sizes of a mesh in another form than torch 2.11, and
    neither understands the other's: of a mesh that another torch saved, they are read from what it saved."""
    try:
        return mesh.mesh
    except AttributeError:
        layout = vars(mesh._layout)
        sizes = layout["shape"] if "shape" in layout else [size for axis in layout["axes"] for size in axis.shape]
        return mesh._rank_map.reshape(sizes)


class _Axis:
    """`_FlatLayout` of torch 2.13's meshes where torch has none: its state, `shape` and `stride`."""

    shape: tuple[int, ...]


AXIS = "torch.distributed._mesh_layout._FlatLayout"
"""Part of a mesh's pickle in torch 2.13 (torch/distributed/_mesh_layout.py)."""


Home = Callable[[str, torch.Tensor], Part]
"""Makes the part of a tensor's name and its rows, all of one rank's file."""


def _assemble(folder: Path, name: str, values: list[torch.Tensor], homes: list[Home]) -> ShardedTensor:
    shape, dim = tuple(values[0].shape), _sharded_dim(folder, name, values[0])
    if any(tuple(value.shape) != shape or _sharded_dim(folder, name, value) != dim for value in values):
        raise _torn(folder, f"`{name}` has another shape or placement on another rank")
    shards = [_local(value) for value in values]
    if len({shard.dtype for shard in shards}) > 1:
        raise _torn(folder, f"`{name}` has another type on another rank")
    if not all(shard.is_contiguous() for shard in shards):
        raise _torn(folder, f"`{name}` is not contiguous in its file")
    rows = 1 if dim is None else math.prod(shape[:dim])
    held = [(shard, home) for shard, home in zip(shards, homes, strict=True) if shard.numel()]
    parts = [home(name, shard.view(rows, -1)) for shard, home in held]
    if dim is None:
        return ShardedTensor(str(folder), name, shape, shards[0].dtype, parts[:1], parts[1:])
    # A rank beyond the last row holds nothing, in whatever shape; the others must differ along `dim` alone.
    others = {(*shard.shape[:dim], *shard.shape[dim + 1 :]) for shard, _ in held}
    if others - {(*shape[:dim], *shape[dim + 1 :])} or sum(shard.numel() for shard, _ in held) != math.prod(shape):
        sizes = ", ".join(f"`{list(shard.shape)}`" for shard in shards)
        raise _torn(folder, f"`{name}` is `{list(shape)}`, but the ranks have parts of {sizes}")
    return ShardedTensor(str(folder), name, shape, shards[0].dtype, parts, [])


def _sharded_dim(folder: Path, name: str, value: torch.Tensor) -> int | None:
    """The dimension along which the tensor is cut; None when every rank has all of it."""
    if not isinstance(value, DTensor):
        return None
    *outer, inner = value.placements
    if all(placement.is_replicate() for placement in outer):
        if inner.is_replicate():
            return None
        if type(inner) is Shard:  # not the strided one of FSDP over tensor parallelism, which orders rows otherwise
            return inner.dim
    raise StageError(
        f"`{folder}`: `{name}` is placed as `{value.placements}`, which cannot be read",
        "only tensors that are replicated, or cut along one dimension of the `fsdp` axis, can be put together",
    )


def _home(file: Path, state: dict[str, torch.Tensor], checksums: Checksums | None) -> Home:
    """Where the file's tensors are in memory."""
    storages = {
        storage.data_ptr(): storage.nbytes()
        for storage in (_local(value).untyped_storage() for value in state.values())
        if storage.nbytes()
    }
    start = min(storages, default=0)
    if checksums is None:
        return lambda name, rows: Part(rows, start)
    records = read_records(file)
    checksums.records += records
    data = _mapped(records, storages)
    forget = functools.partial(drop, file_start=start)

    def part(name: str, rows: torch.Tensor) -> Part:
        address = rows.untyped_storage().data_ptr()
        if address not in data:
            raise StageError(f"`{file}`: `{name}` is not one of the file's records", AGAIN)
        record = data[address]
        record.tensor = record.tensor or name
        return Part(rows, start, functools.partial(checksums.add, record, address, forget), record)

    return part


def _mapped(records: list[Record], storages: dict[int, int]) -> dict[int, Record]:
    """The record at each address, when a file was mapped of which these storages, address -> bytes, are records; empty
    when they are not. torch does not tell where it has mapped the file."""
    lengths = {record.offset: record.length for record in records}
    first = min(storages, default=0)
    for record in records if storages else ():
        begin = first - record.offset
        if not begin % mmap.PAGESIZE and all(lengths.get(at - begin) == size for at, size in storages.items()):
            return {begin + record.offset: record for record in records if record.length}
    return {}


def _local(value: torch.Tensor) -> torch.Tensor:
    return (value.to_local() if isinstance(value, DTensor) else value).detach()


def _torn(folder: Path, what: str) -> StageError:
    return StageError(
        f"`{folder}`: {what}", "the rank files do not come from one save: copy them again, or use another checkpoint"
    )


def world_size(folder: Path) -> int:
    """How many ranks wrote the role `folder`."""
    file = folder / "fsdp_config.json"
    named = {path.name.split("_")[3] for path in folder.glob(RANK_FILES)}
    if not file.is_file() and len(named) == 1 and (world := named.pop()).isdecimal():
        return int(world)  # an earlier verl wrote no such file
    if not file.is_file():
        roles = sorted(str(path.parent) for path in folder.glob("*/fsdp_config.json"))
        raise StageError(
            f"`{folder}`: no `fsdp_config.json`, so this is not one role of a verl FSDP checkpoint",
            f"did you mean `{roles[0]}`?" if roles else "give the folder of one role, such as `global_step_100/actor`",
        )
    config = read_json(file)
    world = config.get("world_size") if isinstance(config, dict) else None
    if type(world) is not int or world < 1:
        raise StageError(
            f"`{file}`: `world_size` is `{world}`, not a number of ranks",
            "the checkpoint was not saved to its end: use the one before it",
        )
    return world


def rank_file(folder: Path, world: int, rank: int) -> Path:
    """Where the rank's tensors are."""
    return folder / f"model_world_size_{world}_rank_{rank}.pt"


def load_rank(folder: Path, world: int, rank: int) -> dict[str, torch.Tensor]:
    """The rank's tensors, in the model's order. Their bytes stay on disk until somebody reads them."""
    file = rank_file(folder, world, rank)
    if not file.is_file():
        raise _missing(folder, world, file.name)
    state = _load(file)
    if not isinstance(state, dict):
        raise StageError(f"`{file}`: holds a `{type(state).__name__}`, not a dictionary of tensors", _NOT_VERL)
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise StageError(f"`{file}`: `{name}` is of type `{type(value).__name__}`, not a tensor", _NOT_VERL)
    return state


_NOT_VERL = "verl writes tensors alone into this file: find out who wrote this one before you use it"


def _missing(folder: Path, world: int, name: str) -> StageError:
    world_sizes = sorted(path.name.split("_")[3] for path in folder.glob(RANK_FILES))
    if world_sizes and str(world) not in world_sizes:
        return StageError(
            f"`{folder}`: `fsdp_config.json` says world size `{world}`, the rank files say `{world_sizes[0]}`",
            "two runs were mixed in one folder: copy the checkpoint again into an empty one",
        )
    return StageError(
        f"`{folder}`: `{name}` is missing",
        f"each of the {world} ranks wrote one file: copy those left on other nodes, or use an earlier checkpoint",
    )


def _load(file: Path) -> object:
    # Every unpickled mesh logs that no process group exists; here none ever will.
    mesh_log = logging.getLogger("torch.distributed.device_mesh")
    level = mesh_log.level
    mesh_log.setLevel(logging.ERROR)
    try:
        read_records(file)
        with torch.serialization.safe_globals([] if hasattr(_mesh_layout, "_FlatLayout") else [(_Axis, AXIS)]):
            state = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        for value in state.values() if isinstance(state, dict) else ():
            if isinstance(value, DTensor):  # damage leaves one without some of its parts
                value.to_local(), value.placements, mesh_ranks(value.device_mesh)
        return state
    except StageError:
        raise
    except pickle.UnpicklingError as problem:
        refused = re.search(r"(?:GLOBAL|class) `?([\w.]+)", str(problem))
        what = f"holds a pickled `{refused[1]}`" if refused else "holds pickled objects"
        raise StageError(f"`{file}`: {what}, which is not a tensor and was not loaded", _NOT_VERL) from problem
    except PermissionError as problem:
        raise StageError(
            f"`{file}`: {problem.strerror}", f"ask its owner, or give yourself the right to read it: `chmod u+r {file}`"
        ) from problem
    except Exception as problem:  # damaged bytes fail wherever torch's parser happens to be
        raise _unreadable(file, problem) from problem
    finally:
        mesh_log.setLevel(level)


def _unreadable(file: Path, problem: Exception) -> StageError:
    """Why the file cannot be opened: this process, its format, or damage."""
    size = file.stat().st_size
    if isinstance(problem, MemoryError) or NO_MEMORY in str(problem):
        return StageError(
            f"`{file}`: this process may not map its {size:,} bytes into memory: {NO_MEMORY}",
            "the address space is limited, as on many login nodes: `ulimit -v unlimited`, or convert in a job",
        )
    with open(file, "rb") as handle:
        is_legacy = handle.read(len(LEGACY)) == LEGACY
    if is_legacy:
        again = f"import torch, torch.distributed.tensor; f = {str(file)!r}; torch.save(torch.load(f), f)"
        return StageError(
            f"`{file}`: is in the format of torch before 1.6, which cannot be mapped into memory",
            f'save it again: `python -c "{again}"`',
        )
    return StageError(f"`{file}`: cut short or damaged ({size} bytes)", AGAIN)
