"""Makes a Hugging Face model of one role of a verl FSDP checkpoint, a block at a time.

    python -m recipes.common.convert global_step_100/actor OUT [--dtype bfloat16] [--max-shard-gb 5] [--work DIR]

Memory does not grow with the model, and the disk is read and written once: the rank files are mapped, every tensor's
place in the output is known beforehand, and blocks of 2 M elements are cast into it one after the other.
"""

import argparse
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from recipes.common.checkpoint.pretrained import cast, exported_model
from recipes.common.checkpoint.records import Checksums
from recipes.common.checkpoint.safetensors import Entry, header, index, plan_files
from recipes.common.checkpoint.sharded_tensor import BLOCK, ShardedTensor, TensorSlice, read_ahead
from recipes.common.stage.command import StageError, tensor_progress
from recipes.common.stage.files import copy_files, whole_folder, write_json
from recipes.common.verl.checkpoints import demand_one_save

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32, "keep": None}
"""What `--dtype` may say. Whole numbers always keep their type."""

FILE_BYTES = 5 * 10**9
"""Of a file of an exported model."""

WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.bin.index.json")
"""Files that are not copied: the trained weights are others."""


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
    source: Path,
    target: Path,
    dtype: torch.dtype | None,
    max_shard_bytes: int,
    on_tensor: Callable[[int, int], None],
) -> Summary:
    """`target` is the model whose shards are in `source`, complete and on disk; after an error it is as it was.

    Floating-point tensors are cast to `dtype`; None keeps them. `on_tensor` is told (written, all) after each tensor.
    StageError when the checkpoint is not whole or the disk has no room.
    """
    began = time.monotonic()
    vouched, checksums = demand_one_save(source), Checksums()
    tensors, config = exported_model(source, dtype, checksums)
    files = plan_files(
        (Entry(name, tensor.shape, cast(tensor, dtype)) for name, tensor in tensors.items()), max_shard_bytes
    )
    entries = [entry for group in files.values() for entry in group]
    with whole_folder(target) as part:
        check_room(part, sum(entry.nbytes for entry in entries))
        copy_files(source / "huggingface", part, WEIGHTS)
        write_json(part / "config.json", config)
        if len(files) > 1:
            write_json(part / "model.safetensors.index.json", index(files))
        written = 0
        for name, group in files.items():
            for _ in _write(part / name, group, tensors):
                written += 1
                on_tensor(written, len(entries))
        checksums.finish()
    return replace(summary_of(config, files, began), vouched=vouched)


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


def gigabytes(text: str) -> float:
    """The size that an argument names, above zero. argparse.ArgumentTypeError for another text."""
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0 < size < math.inf:
        raise argparse.ArgumentTypeError(f"`{text}` is not a size above 0, such as 5")
    return size


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recipes.common.convert", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="one role: the folder with fsdp_config.json")
    parser.add_argument("out", type=Path, help="the Hugging Face model: a folder that is empty or not there yet")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--max-shard-gb", type=gigabytes, default=5.0, help="a file's size in 10^9 bytes")
    parser.add_argument("--work", type=Path, help="report progress in this folder instead of on the terminal")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the disk is the bound: a second thread only spins
    with tensor_progress(args.work) as on_tensor:
        summary = convert(args.checkpoint, args.out, DTYPES[args.dtype], int(args.max_shard_gb * 1e9), on_tensor)
    print(summary)


def _write(file: Path, group: list[Entry], tensors: dict[str, ShardedTensor | TensorSlice]) -> Iterator[None]:
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
