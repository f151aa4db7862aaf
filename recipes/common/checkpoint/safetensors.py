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

LONGEST = 100 << 20
"""Bytes of a header, by the format's own limit."""
DIMENSIONS = 64
"""More than any tensor has: their product is bounded."""


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
    """Each tensor of a safetensors file with the file's offset of its first byte. The tensors fill the file behind its
    header without gaps and without sharing a byte, or it is refused."""
    size = file.stat().st_size
    try:
        with open(file, "rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            described = json.loads(handle.read(length)) if length <= min(size, LONGEST) else None
        described.pop("__metadata__", None)
        found = {name: _described(name, value, 8 + length) for name, value in described.items()}
        end = 8 + length
        for entry, start in sorted(found.values(), key=lambda one: (one[1], one[0].nbytes)):
            end = end + entry.nbytes if start == end else -1
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, struct.error):
        end = -1
    if end != size:
        raise StageError(f"`{file}`: cut short, or not a safetensors file", "copy or download the file again")
    return found


def _described(name: str, value: dict[str, Any], data: int) -> tuple[Entry, int]:
    """Raises ValueError, TypeError or KeyError when the header's words about a tensor contradict each other."""
    types = {word: dtype for dtype, word in TYPES.items()}
    entry = Entry(name, tuple(value["shape"]), types[value["dtype"]])
    start, end = value["data_offsets"]
    counts = (*entry.shape, start, end)
    if len(counts) > DIMENSIONS or not all(type(one) is int and 0 <= one < 1 << 63 for one in counts):
        raise ValueError(name)
    if end - start != entry.nbytes:
        raise ValueError(name)
    return entry, data + start
