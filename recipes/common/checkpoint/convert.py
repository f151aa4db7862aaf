"""Makes a Hugging Face model of a checkpoint, a block at a time. formats/command.py is the command.

Memory does not grow with the model, and the disk is read and written once: the rank files are mapped, every tensor's
place in the output is known beforehand, and blocks of 2 M elements are cast into it one after the other.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from recipes.common.checkpoint.formats.kind import Kind
from recipes.common.checkpoint.formats.source import (
    ExportedModel,
    Source,
    exported_source,
    find_source,
    not_of_the_model,
)
from recipes.common.checkpoint.pretrained import cast
from recipes.common.checkpoint.records import Checksums
from recipes.common.checkpoint.safetensors import Entry, header, index, plan_files
from recipes.common.checkpoint.sharded_tensor import BLOCK, Tensor, read_ahead
from recipes.common.stage.command import StageError
from recipes.common.stage.files import copy_files, whole_folder, write_json
from recipes.common.verl.checkpoints import demand_one_save

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32, "keep": None}
"""What `--dtype` may say. Whole numbers always keep their type."""

FILE_BYTES = 5 * 10**9
"""Of a file of an exported model."""


@dataclass(frozen=True)
class Summary:
    """What was written."""

    architecture: str
    dtype: str
    tensors: int
    parameters: int
    bytes: int
    """Of the tensors, without headers."""
    files: int
    seconds: float
    vouched: str = ""
    """What vouches for the files that it was made from, in a sentence."""

    def numbers(self) -> dict[str, Any]:
        """What a stage's metrics.json says of it."""
        return {"tensors": self.tensors, "parameters": self.parameters, "bytes": self.bytes, "dtype": self.dtype}

    def __str__(self) -> str:
        written = (
            f"{self.architecture}: {self.tensors} tensors, {self.parameters:,} parameters, {self.dtype}, "
            f"{self.bytes / 1e9:.2f} GB, files: {self.files}, {self.seconds:.1f} s"
        )
        return "\n".join(filter(None, (written, self.vouched)))


def convert(
    role: Path,
    target: Path,
    dtype: torch.dtype | None,
    max_shard_bytes: int,
    on_tensor: Callable[[int, int], None],
) -> Summary:
    """As `convert_source`, of one role of a verl FSDP checkpoint."""
    return convert_source(find_source(role, Kind.VERL, None), target, dtype, max_shard_bytes, on_tensor)


def convert_source(
    source: Source,
    target: Path,
    dtype: torch.dtype | None,
    max_shard_bytes: int,
    on_tensor: Callable[[int, int], None],
) -> Summary:
    """`target` is the model whose checkpoint is `source`, complete and on disk; after an error it is as it was.

    Floating-point tensors are cast to `dtype`; None keeps them. `on_tensor` is told (written, all) after each tensor.
    StageError when the checkpoint is not whole or the disk has no room.
    """
    began = time.monotonic()
    vouched, checksums = demand_one_save(source.folder), Checksums()
    model = exported_source(source, dtype, checksums)
    summary = write_model(source, model, target, max_shard_bytes, on_tensor, checksums)
    return replace(summary, vouched=vouched, seconds=time.monotonic() - began)


def write_model(
    source: Source,
    model: ExportedModel,
    target: Path,
    max_shard_bytes: int,
    on_tensor: Callable[[int, int], None],
    checksums: Checksums,
) -> Summary:
    """As `convert_source`, of a model that is known already; what lies beside its weights is that of `source`, and
    `checksums` those of the files that it is read from."""
    began = time.monotonic()
    tensors, config = model.tensors, model.config
    files = plan_files(
        (Entry(name, tensor.shape, cast(tensor, model.dtype)) for name, tensor in tensors.items()), max_shard_bytes
    )
    entries = [entry for group in files.values() for entry in group]
    with whole_folder(target) as part:
        check_room(part, sum(entry.nbytes for entry in entries))
        copy_files(source.beside, part, not_of_the_model(source))
        write_json(part / "config.json", config)
        if len(files) > 1:
            write_json(part / "model.safetensors.index.json", index(files))
        written = 0
        for name, group in files.items():
            for _ in _write(part / name, group, tensors):
                written += 1
                on_tensor(written, len(entries))
        checksums.finish()
    return summary_of(config, files, began)


def summary_of(config: dict[str, Any], files: dict[str, list[Entry]], began: float) -> Summary:
    """What was written, of a model with this configuration; `began` by the monotonic clock."""
    entries = [entry for group in files.values() for entry in group]
    return Summary(
        config["architectures"][0],
        config.get("dtype") or config["torch_dtype"],
        len(entries),
        sum(entry.numel for entry in entries),
        sum(entry.nbytes for entry in entries),
        len(files),
        time.monotonic() - began,
    )


def check_room(folder: Path, needed: int) -> None:
    """StageError when the disk below `folder`, which is being made beside its place, has less than `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StageError(
            f"`{folder.parent}`: the model needs {needed / 1e9:.3f} GB, {free / 1e9:.3f} GB are free",
            "free some space, or name a folder on another disk",
        )


def _write(file: Path, group: list[Entry], tensors: dict[str, Tensor]) -> Iterator[None]:
    """Yields after each tensor of the file has been written."""
    buffers = {entry.dtype: torch.empty(BLOCK, dtype=entry.dtype) for entry in group}
    blocks = read_ahead(tensors[entry.name] for entry in group)
    with open(file, "wb") as out:
        out.write(header(group))
        for entry in group:
            for tensor, start, stop in blocks:
                block = buffers[entry.dtype][: stop - start]
                tensor.read(start, block)
                if entry.dtype == torch.float16 and block.isinf().any():
                    raise StageError(
                        f"`{entry.name}` has values beyond 65504, which float16 cannot hold",
                        "convert with `--dtype bfloat16`",
                    )
                out.write(block.view(torch.uint8).numpy())
                if stop == tensor.numel:
                    break
            yield
