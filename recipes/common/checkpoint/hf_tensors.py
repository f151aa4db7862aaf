"""The tensors of a Hugging Face weights folder, by name, read with the same calls as a sharded checkpoint's."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from recipes.common.checkpoint.safetensors import Entry, read_header
from recipes.common.stage.command import StageError


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file."""

    file: Path
    entry: Entry
    offset: int
    """Of its first byte in the file."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entry.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.entry.dtype

    @property
    def numel(self) -> int:
        return self.entry.numel

    def read(self, start: int, out: torch.Tensor) -> None:
        """`out` (one dimension, contiguous) holds the flattened elements from `start` on, cast to its own type."""
        raw = out if out.dtype == self.dtype else torch.empty(len(out), dtype=self.dtype)
        with open(self.file, "rb", buffering=0) as file:
            file.seek(self.offset + start * self.dtype.itemsize)
            file.readinto(memoryview(raw.view(torch.uint8).numpy()))
        if raw is not out:
            out.copy_(raw)


def open_stored(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of the `*.safetensors` files in `folder`; only their headers have been read."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise StageError(
            f"`{folder}`: no safetensors file and no `fsdp_config.json`",
            "give one role of a verl FSDP checkpoint, or a Hugging Face model with safetensors weights",
        )
    return open_headers(files)


def open_headers(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """Every tensor of the safetensors `files`; only their headers have been read."""
    return {
        name: StoredTensor(file, entry, offset) for file in files for name, (entry, offset) in read_header(file).items()
    }
