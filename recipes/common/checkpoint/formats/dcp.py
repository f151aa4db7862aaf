"""The tensors of a checkpoint that torch.distributed.checkpoint wrote, read by torch's own reader, one at a time.

A folder has `.metadata`, a pickle that says of which tensors there are which pieces in which `.distcp` file. torch
would execute whatever that pickle names; here it may name only the classes that torch writes into it.
"""

import io
import math
import os
import pickle
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, cast

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex, TensorStorageMetadata

from recipes.common.checkpoint.formats.loaded_tensor import LoadedTensor, Loader
from recipes.common.checkpoint.records import damaged_record
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
        _explained(folder, name, lambda: _demand_pieces(folder, metadata, name))
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
    tensors = {name: it for name, it in metadata.state_dict_metadata.items() if isinstance(it, TensorStorageMetadata)}
    try:
        fault = next((f"`{name}` {fault}" for name, it in tensors.items() if (fault := _fault(it))), None)
    except (AttributeError, TypeError, ValueError, IndexError) as problem:
        raise StageError(
            f"`{file}`: damaged ({problem})", "copy the file again, or use an earlier checkpoint"
        ) from problem
    if fault:
        raise StageError(f"`{file}`: {fault}", "copy the file again, or use an earlier checkpoint")
    return metadata


def _fault(described: TensorStorageMetadata) -> str | None:
    """What is wrong with the tensor's pieces; None when each of its elements is in one of them. Raises whatever damage
    leads to."""
    shape = tuple(described.size)
    if not isinstance(described.properties.dtype, torch.dtype) or any(
        type(size) is not int or size < 0 for size in shape
    ):
        raise ValueError(f"type `{described.properties.dtype}`, shape `{list(shape)}`")
    pieces = sorted((tuple(chunk.offsets), tuple(chunk.sizes)) for chunk in described.chunks)
    held = sum(math.prod(sizes) for _, sizes in pieces)
    if held != math.prod(shape):
        return f"is `{list(shape)}`, and its pieces have {held} of its {math.prod(shape)} elements"
    near: list[tuple[tuple[int, ...], tuple[int, ...]]] = []  # the pieces before that reach as far as this one begins
    for offsets, sizes in pieces:
        for start, size, end in zip(offsets, sizes, shape, strict=True):
            if not 0 <= start <= start + size <= end:
                return f"is `{list(shape)}`, and one of its pieces ends outside of it"
        near = [(o, s) for o, s in near if o and o[0] + s[0] > offsets[0]]
        if any(_overlap(offsets, sizes, *other) for other in near):
            return f"is `{list(shape)}`, and two of its pieces have the same elements"
        near.append((offsets, sizes))
    return None


def _overlap(offsets: Sequence[int], sizes: Sequence[int], others: Sequence[int], lengths: Sequence[int]) -> bool:
    return all(
        max(start, other) < min(start + size, other + length)
        for start, size, other, length in zip(offsets, sizes, others, lengths, strict=True)
    )


def _demand_pieces(folder: Path, metadata: Metadata, name: str) -> None:
    """StageError when a piece of the tensor is not in its file, or is damaged there. Raises whatever else damage leads
    to."""
    again = "copy the checkpoint again, or use an earlier one"
    described, length = metadata.state_dict_metadata[name], 0
    assert isinstance(described, TensorStorageMetadata)
    for chunk in described.chunks:
        info = (metadata.storage_data or {}).get(MetadataIndex(name, chunk.offsets))
        if info is None:
            raise StageError(f"`{folder}/.metadata`: it does not say where a piece of `{name}` is", again)
        with open(folder / info.relative_path, "rb", buffering=0) as file:
            if info.offset < 0 or info.length < 0 or info.offset + info.length > os.fstat(file.fileno()).st_size:
                raise StageError(f"`{file.name}`: cut short: a piece of `{name}` lies behind its end", again)
            if getattr(info, "transform_descriptors", None):
                return  # the piece is compressed, and its length is not the tensor's
            if record := damaged_record(cast(IO[bytes], _Stretch(file, info.offset, info.length))):
                raise StageError(
                    f"`{file.name}`: `{name}` is damaged: its record `{record}` is not what was saved", again
                )
        length += info.length
    if length < math.prod(described.size) * described.properties.dtype.itemsize:
        raise StageError(f"`{folder}`: `{name}` is `{list(described.size)}`, and its files have less of it", again)


class _Stretch(io.RawIOBase):
    """Some bytes of a file as a file of their own."""

    def __init__(self, file: io.RawIOBase, offset: int, length: int):
        self.file, self.offset, self.length, self.at = file, offset, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.length}[whence]
        if self.at < 0:
            raise ValueError("before the first byte")
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any) -> int:
        self.file.seek(self.offset + self.at)
        read = self.file.readinto(memoryview(buffer)[: max(0, self.length - self.at)]) or 0
        self.at += read
        return read


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
    except StageError:
        raise
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
