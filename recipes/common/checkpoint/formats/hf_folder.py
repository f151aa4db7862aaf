"""The tensors of a folder that `save_pretrained` or Hugging Face's trainer wrote, under the names in its files."""

import mmap
from pathlib import Path

import torch

from recipes.common.checkpoint.formats.kind import weight_files
from recipes.common.checkpoint.formats.loaded_tensor import LoadedTensor, Loader
from recipes.common.checkpoint.formats.pickles import first_address, load_pickle, mapped_tensor
from recipes.common.checkpoint.safetensors import read_header
from recipes.common.checkpoint.sharded_tensor import Part, ShardedTensor, Tensor
from recipes.common.checkpoint.weights_folder import content_fault
from recipes.common.stage.command import StageError


def open_folder(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the model's weight files. StageError when one is missing, damaged or holds more than tensors."""
    held = _open_each(folder, weight_files(folder))
    if fault := content_fault(folder, held):
        raise StageError(f"`{folder}`: {fault}", "copy the whole checkpoint again, or use an earlier one")
    return {name: tensor for tensors in held.values() for name, tensor in tensors.items()}


def open_files(folder: Path, files: list[Path]) -> dict[str, Tensor]:
    """Every tensor of the `files`, each of which is safetensors or a pickle of tensors."""
    held = _open_each(folder, files)
    return {name: tensor for tensors in held.values() for name, tensor in tensors.items()}


def _open_each(folder: Path, files: list[Path]) -> dict[str, dict[str, Tensor]]:
    """Name of each file -> its tensors."""
    opened: dict[str, dict[str, Tensor]] = {}
    for file in files:
        if not file.is_file():
            raise StageError(
                f"`{folder}`: `{file.name}` is missing, which the index names",
                "copy the whole checkpoint again, or use an earlier one",
            )
        held = _safetensors(folder, file) if file.suffix == ".safetensors" else _pickled(folder, file)
        if twice := sorted(name for name in held if any(name in others for others in opened.values())):
            raise StageError(
                f"`{file}`: `{twice[0]}` is in another file too", "remove the file that is not the model's"
            )
        opened[file.name] = held
    return opened


def whole_weights(files: list[Path]) -> dict[str, torch.Tensor]:
    """As `open_files` in memory, read by the safetensors library and by torch: for whoever compares."""
    from safetensors.torch import load_file

    weights: dict[str, torch.Tensor] = {}
    for file in files:
        weights |= load_file(file) if file.suffix == ".safetensors" else load_pickle(file, mapped=False)
    return weights


def _safetensors(folder: Path, file: Path) -> dict[str, Tensor]:
    entries = read_header(file)
    with open(file, "rb") as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)  # torch takes no read-only memory
    tensors: dict[str, Tensor] = {}
    start = torch.frombuffer(data, dtype=torch.uint8, count=1).data_ptr()
    for name, (entry, offset) in entries.items():
        parts = []
        if entry.numel:
            values = torch.frombuffer(data, dtype=entry.dtype, count=entry.numel, offset=offset)
            parts = [Part(values.view(1, -1), start)]
        tensors[name] = ShardedTensor(str(folder), name, entry.shape, entry.dtype, parts, [])
    return tensors


def _pickled(folder: Path, file: Path) -> dict[str, Tensor]:
    state = load_pickle(file, mapped=True)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise StageError(f"`{file}`: not a dictionary of tensors", "find out who wrote this file before you use it")
    start = first_address(list(state.values()))
    loader = Loader(lambda name: state[name].contiguous())
    return {
        name: mapped_tensor(folder, name, tuple(value.shape), [(value, start)])
        if value.is_contiguous()
        else LoadedTensor(str(folder), name, tuple(value.shape), value.dtype, loader)
        for name, value in state.items()
    }
