"""Makes a Hugging Face model, or a PEFT adapter, of a checkpoint.

    python -m recipes.common.convert CHECKPOINT OUT [--dtype bfloat16] [--max-shard-gb 5] [--config FOLDER]
    python -m recipes.common.convert CHECKPOINT_WITH_LORA OUT [--merge BASE|own]

CHECKPOINT is one role of a verl FSDP checkpoint, a folder of torch.distributed.checkpoint, of DeepSpeed's ZeRO, of
Hugging Face's trainer or of peft. What it is, its files say.
"""

import argparse
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from recipes.common.checkpoint.convert import DTYPES, convert_source, write_model
from recipes.common.checkpoint.formats.adapter import (
    AdapterSource,
    merged_tensors,
    named_base,
    open_adapter_source,
    write_adapter,
)
from recipes.common.checkpoint.formats.kind import Kind, checkpoint_kind
from recipes.common.checkpoint.formats.source import exported_tensors, find_source
from recipes.common.checkpoint.lora import merge
from recipes.common.stage.command import Mistake, tensor_progress
from recipes.common.verl.checkpoints import demand_one_save

OWN = "own"
"""What `--merge` says for the weights under the adapter, or else the base that the adapter names."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recipes.common.convert", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="the folder of one checkpoint, such as global_step_100/actor")
    parser.add_argument("out", type=Path, help="the Hugging Face model: a folder that is empty or not there yet")
    parser.add_argument("--dtype", choices=DTYPES, help="default: bfloat16; of an adapter: keep")
    parser.add_argument("--max-shard-gb", type=gigabytes, default=5.0, help="a file's size in 10^9 bytes")
    parser.add_argument(
        "--config", type=Path, help="a folder with config.json and tokenizer, if the checkpoint has none"
    )
    parser.add_argument(
        "--merge",
        nargs="?",
        const=OWN,
        metavar="BASE",
        help="merge the LoRA adapter into this model, or into its `own`",
    )
    parser.add_argument("--work", type=Path, help="report progress in this folder instead of on the terminal")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the disk is the bound: a second thread only spins
    with tensor_progress(args.work) as on_tensor:
        print(_convert(args, int(args.max_shard_gb * 1e9), on_tensor))


def gigabytes(text: str) -> float:
    """The size that an argument names, above zero. argparse.ArgumentTypeError for another text."""
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0 < size < math.inf:
        raise argparse.ArgumentTypeError(f"`{text}` is not a size above 0, such as 5")
    return size


def _convert(args: argparse.Namespace, max_shard_bytes: int, on_tensor: Callable[[int, int], None]) -> str:
    """What was written into OUT."""
    kind = checkpoint_kind(args.checkpoint)
    if adapter := open_adapter_source(args.checkpoint, kind):
        vouched = demand_one_save(args.checkpoint)
        if args.merge is not None:
            written = _merge(adapter, args, max_shard_bytes, on_tensor)
        else:
            write_adapter(adapter, args.out, DTYPES[args.dtype or "keep"], on_tensor)
            written = f"{adapter.config['peft_type']} adapter: {len(adapter.tensors)} tensors"
        return "\n".join(filter(None, (written, vouched)))
    if args.merge is not None:
        raise Mistake(f"`{args.checkpoint}`: {kind.value} without an adapter", "leave out `--merge`")
    source = find_source(args.checkpoint, kind, args.config)
    return str(convert_source(source, args.out, DTYPES[args.dtype or "bfloat16"], max_shard_bytes, on_tensor))


def _merge(
    adapter: AdapterSource, args: argparse.Namespace, max_shard_bytes: int, on_tensor: Callable[[int, int], None]
) -> str:
    """What was written: the adapter merged into the weights under it, or into a base in another folder."""
    dtype = DTYPES[args.dtype or "bfloat16"]
    if args.merge == OWN and adapter.kind is Kind.VERL:
        source = find_source(args.checkpoint, Kind.VERL, args.config)
        model = exported_tensors(source, merged_tensors(adapter), dtype)
        return str(write_model(source, model, args.out, max_shard_bytes, on_tensor, adapter.checksums))
    base = named_base(adapter) if args.merge == OWN else Path(args.merge)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "adapter")
        write_adapter(adapter, plain, None, lambda *_: None)
        return str(merge(base, plain, args.out, dtype, max_shard_bytes, on_tensor))
