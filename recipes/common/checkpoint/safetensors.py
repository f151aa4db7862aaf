"""The layout of safetensors files, known before the first byte of a tensor is read.

A file is 8 bytes of header length (little endian), a JSON header of each tensor's type, shape and byte range, and the
bytes without gaps (https://github.com/huggingface/safetensors#format). Names and index are those of `save_pretrained`.
"""

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from recipes.common.stage.command import StageError

TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}

DIMENSIONS = 64
"""More than any tensor has."""


@dataclass(frozen=True)
class Entry:
    """A tensor as a file's header has it."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


def plan_files(entries: Iterable[Entry], max_bytes: int) -> dict[str, list[Entry]]:
    """File names with their tensors: in the given order, each file at most `max_bytes` unless one tensor is larger.

    Within a file wide types come first, so that every tensor is aligned to its own type.
    """
    groups: list[list[Entry]] = [[]]
    for entry in entries:
        if entry.dtype not in TYPES:
            raise StageError(
                f"`{entry.name}` is of type `{entry.dtype}`, which a safetensors file cannot hold",
                "leave the tensor out of the checkpoint: register it as a buffer with `persistent=False`",
            )
        if groups[-1] and sum(other.nbytes for other in groups[-1]) + entry.nbytes > max_bytes:
            groups.append([])
        groups[-1].append(entry)
    groups = [sorted(group, key=lambda entry: -entry.dtype.itemsize) for group in groups]
    if len(groups) == 1:
        return {"model.safetensors": groups[0]}
    return {f"model-{i:05d}-of-{len(groups):05d}.safetensors": group for i, group in enumerate(groups, 1)}


def header(entries: list[Entry]) -> bytes:
    """What precedes the tensors' bytes in a file that holds `entries` in this order."""
    described: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for entry in entries:
        start, end = end, end + entry.nbytes
        described[entry.name] = {"dtype": TYPES[entry.dtype], "shape": entry.shape, "data_offsets": [start, end]}
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def index(files: dict[str, list[Entry]]) -> dict[str, object]:
    """The value of `model.safetensors.index.json`."""
    entries = [entry for group in files.values() for entry in group]
    totals = {
        "total_parameters": sum(entry.numel for entry in entries),
        "total_size": sum(entry.nbytes for entry in entries),
    }
    return {"metadata": totals, "weight_map": {entry.name: file for file, group in files.items() for entry in group}}


def read_header(file: Path) -> dict[str, tuple[Entry, int]]:
    """Each tensor of a safetensors file with the file's offset of its first byte. StageError when the library refuses
    the file: the tensors fill it behind its header without gaps and without sharing a byte."""
    try:
        with safe_open(file, framework="np") as handle:
            entries = [_entry(name, handle.get_slice(name)) for name in handle.offset_keys()]
    except (SafetensorError, OSError, ValueError) as problem:
        error = f"`{file}`: cut short, or not a safetensors file"
        raise StageError(error, "copy or download the file again") from problem
    offset = file.stat().st_size - sum(entry.nbytes for entry in entries)
    tensors = {}
    for entry in entries:
        tensors[entry.name] = entry, offset
        offset += entry.nbytes
    return tensors


def _entry(name: str, stored: Any) -> Entry:
    """Raises ValueError when torch has no such tensor."""
    shape, dtype = tuple(stored.get_shape()), stored.get_dtype()
    types = {label: known for known, label in TYPES.items()}
    if len(shape) > DIMENSIONS or max(shape, default=0) >> 63 or dtype not in types:
        raise ValueError(name)
    return Entry(name, shape, types[dtype])
