"""Files that `torch.save` wrote, opened without executing anything in them."""

from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from recipes.common.checkpoint.records import AGAIN, NoRecords, read_records
from recipes.common.checkpoint.sharded_tensor import Part, ShardedTensor
from recipes.common.stage.command import StageError


class Inert:
    """Stands for an object of a trainer's class: it holds what was saved of it, and can do nothing."""

    def __init__(self, *args: Any):
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state


def load_pickle(file: Path, mapped: bool, inert: str = "") -> Any:
    """The object in the file. `mapped`: the tensors' bytes stay on disk until somebody reads them. An object of a class
    below the module `inert` is an `Inert`. StageError when the file is damaged, or has an object of any other class."""
    if not file.is_file():
        raise StageError(f"`{file}` is missing", "copy the whole checkpoint again, or use an earlier one")
    _demand_sound(file)
    try:
        unsafe = get_unsafe_globals_in_checkpoint(file)
        strange = [name for name in unsafe if not (inert and name.startswith(f"{inert}."))]
        if not strange:
            stand_ins: list[Any] = [(type("Inert", (Inert,), {}), name) for name in unsafe]
            with safe_globals(stand_ins):
                return torch.load(file, map_location="cpu", mmap=mapped, weights_only=True)
    except Exception as problem:  # damaged bytes fail wherever torch's parser happens to be
        first = " ".join(str(problem).split())[:160]
        raise StageError(f"`{file}`: cannot be read, it may be cut short or damaged ({first})", AGAIN) from problem
    raise StageError(
        f"`{file}`: holds a pickled `{strange[0]}`, which is not a tensor and was not loaded",
        "find out who wrote this file before you use it",
    )


def _demand_sound(file: Path) -> None:
    """StageError when bytes of the file are not those that `torch.save` wrote; a file without checksums has nothing to
    compare with."""
    try:
        records = read_records(file)
    except NoRecords:
        return
    for record in records:
        record.finish()


def mapped_tensor(
    folder: Path, name: str, shape: tuple[int, ...], pieces: list[tuple[torch.Tensor, int]]
) -> ShardedTensor:
    """The tensor whose flattened elements are those of the `pieces`, one after the other. Each lies in a mapped file;
    beside it is the address of that file's first tensor."""
    if not all(piece.is_contiguous() for piece, _ in pieces):
        raise StageError(f"`{folder}`: `{name}` is not contiguous in its file", "save contiguous tensors")
    parts = [Part(piece.detach().view(1, -1), start) for piece, start in pieces if piece.numel()]
    return ShardedTensor(str(folder), name, shape, pieces[0][0].dtype, parts, [])


def first_address(tensors: list[torch.Tensor]) -> int:
    """Of the tensors that lie in one mapped file."""
    return min((tensor.data_ptr() for tensor in tensors if tensor.numel()), default=0)
