"""The tensors of a checkpoint that torch.distributed.checkpoint wrote, read by torch's own reader, one at a time.

A folder has `.metadata`, a pickle that says of which tensors there are which pieces in which `.distcp` file. torch
would execute whatever that pickle names; here it may name only the classes that torch writes into it.
"""

import io
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex, TensorStorageMetadata

from recipes.common.checkpoint.formats.loaded_tensor import LoadedTensor, Loader
from recipes.common.checkpoint.sharded_tensor import Tensor
from recipes.common.stage.command import StageError

CLASSES = {
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.serialization": {"_get_layout"},
    "torch": {"Size"},
    "collections": {"OrderedDict"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath"},
    "pathlib._local": {"Path", "PosixPath", "PurePosixPath"},
}
"""Module -> what a `.metadata` file may name of it, besides torch's types of numbers."""


def open_dcp(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the checkpoint by its name in the state dictionary that was saved, the optimizer's too.
    StageError when `.metadata` is damaged or names anything but tensors' places."""
    metadata = read_metadata(folder)
    reader = _Reader(folder, metadata)

    def load(name: str) -> torch.Tensor:
        described = metadata.state_dict_metadata[name]
        state = {name: torch.empty(described.size, dtype=described.properties.dtype)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that there is one process, which is so
            _explained(folder, name, lambda: dcp.load(state, storage_reader=reader, no_dist=True))
        return state[name]

    loader = Loader(load)
    return {
        name: LoadedTensor(str(folder), name, tuple(described.size), described.properties.dtype, loader)
        for name, described in metadata.state_dict_metadata.items()
        if isinstance(described, TensorStorageMetadata)
    }


def whole_tensor(folder: Path, metadata: Metadata, name: str) -> torch.Tensor:
    """The tensor put together from its pieces without torch's reader: for whoever compares."""
    described = metadata.state_dict_metadata[name]
    if not isinstance(described, TensorStorageMetadata):
        raise StageError(f"`{folder}`: `{name}` is not a tensor", "use another checkpoint")
    whole = torch.empty(described.size, dtype=described.properties.dtype)
    for chunk in described.chunks:
        info = (metadata.storage_data or {})[MetadataIndex(name, chunk.offsets)]
        with open(folder / info.relative_path, "rb") as file:
            file.seek(info.offset)
            piece = torch.load(io.BytesIO(file.read(info.length)), map_location="cpu", weights_only=True)
        window = tuple(slice(start, start + size) for start, size in zip(chunk.offsets, chunk.sizes, strict=True))
        whole[window] = piece
    return whole


def read_metadata(folder: Path) -> Metadata:
    """What `.metadata` says. StageError when it says something else than places of tensors."""
    file = folder / ".metadata"
    try:
        with open(file, "rb") as stream:
            metadata = _Unpickler(stream).load()
    except _Refused as problem:
        raise StageError(
            f"`{file}`: holds a pickled `{problem}`, which torch does not write there and was not loaded",
            "find out who wrote this checkpoint before you use it",
        ) from problem
    except Exception as problem:  # damaged bytes fail wherever the parser happens to be
        raise StageError(
            f"`{file}`: cut short or damaged ({file.stat().st_size} bytes)",
            "copy the file again, or use an earlier checkpoint",
        ) from problem
    if not isinstance(metadata, Metadata) or not isinstance(metadata.state_dict_metadata, dict):
        raise StageError(f"`{file}`: no metadata of a checkpoint", "copy the file again, or use an earlier checkpoint")
    return metadata


class _Refused(pickle.UnpicklingError):
    """The name of what a pickle must not have."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in CLASSES.get(module, ()):
            return super().find_class(module, name)
        if module == "torch" and isinstance(kind := getattr(torch, name, None), torch.dtype):
            return kind
        raise _Refused(f"{module}.{name}")


class _Reader(dcp.FileSystemReader):
    """torch's reader, for a checkpoint whose metadata has been read."""

    def __init__(self, folder: Path, metadata: Metadata):
        super().__init__(folder)
        self.metadata = metadata

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        return self.metadata


def _explained(folder: Path, name: str, read: Callable[[], None]) -> None:
    try:
        read()
    except CheckpointException as failed:  # around what the reader tripped over
        problem = next(iter(failed.failures.values()))[0]
        if not isinstance(problem, Exception):
            raise problem from failed
        raise _unreadable(folder, name, problem) from failed
    except Exception as problem:
        raise _unreadable(folder, name, problem) from problem


def _unreadable(folder: Path, name: str, problem: Exception) -> StageError:
    if isinstance(problem, FileNotFoundError):
        return StageError(
            f"`{folder}`: `{Path(problem.filename).name}` is missing, which has a part of `{name}`",
            "each rank wrote its own files: copy those left on other nodes, or use an earlier checkpoint",
        )
    first = " ".join(str(problem).split())[:200]
    return StageError(
        f"`{folder}`: `{name}` cannot be read: {first or type(problem).__name__}",
        "copy the checkpoint again, or use an earlier one",
    )
