"""Proves that an exported model has the weights of its checkpoint, and that it can answer.

    python -m recipes.common.verify EXPORT --checkpoint global_step_100/actor --out OUT [--work DIR] [--prompt TEXT]
    python -m recipes.common.verify EXPORT --checkpoint CHECKPOINT_WITH_LORA --out OUT [--merge BASE]

Three ways lead to the answer. The safetensors library reads every tensor of the files: each must be the checkpoint's
after the cast, bit for bit, and finite. transformers opens the export as its user will, by the class that its
`architectures` names, without a missing, unexpected or mismatched tensor; each tensor of that model must be what plain
torch puts together from the rank files. And with the checkpoint's own configuration these weights must give the same
numbers. A model of language then makes one reply, by its chat template and greedy decoding. Of other trainers'
checkpoints, formats/reread.py says what the second way is.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from recipes.common.checkpoint.formats.kind import checkpoint_kind
from recipes.common.checkpoint.formats.reread import demand_same_source, verify_adapter, verify_merged
from recipes.common.checkpoint.formats.source import exported_source, find_source, trained_config
from recipes.common.checkpoint.opened_model import (
    AGAIN,
    demand_same_configuration,
    demand_same_numbers,
    open_export,
    reply,
)
from recipes.common.checkpoint.records import Checksums
from recipes.common.checkpoint.sharded_tensor import BLOCK, Tensor, demand_sound
from recipes.common.checkpoint.weights_folder import index_fault
from recipes.common.stage.command import StageError, tensor_progress
from recipes.common.stage.files import write_json
from recipes.common.verl.checkpoints import demand_one_save

PROMPT = "Say hello in one sentence."


def verify(
    export: Path,
    checkpoint: Path,
    prompt: str,
    on_tensor: Callable[[int, int], None],
    config_folder: Path | None = None,
) -> dict[str, Any]:
    """The numbers of an export that is right, its reply among them where it can make one; StageError for one that is
    not.

    Memory: the model in its exported type, one tensor of the checkpoint and two blocks. `on_tensor` is told (compared,
    all) after each tensor.
    """
    if vouched := demand_one_save(checkpoint):
        print(vouched, flush=True)
    source, checksums = find_source(checkpoint, checkpoint_kind(checkpoint), config_folder), Checksums()
    exported = exported_source(source, None, checksums)
    expected, config = exported.tensors, exported.config
    files = _files(export)
    if odd := sorted(expected.keys() ^ files.keys()):
        where = "the checkpoint" if odd[0] in expected else "the export"
        raise StageError(f"`{export}`: only {where} has `{odd[0]}`", AGAIN)
    if fault := index_fault(export):
        raise StageError(f"`{export}`: {fault}", AGAIN)
    for compared, (name, tensor) in enumerate(expected.items(), 1):
        _compare(files[name], name, tensor)
        on_tensor(compared, len(expected))
    checksums.finish()
    model = open_export(export)
    demand_same_source(export, model, source)
    demand_same_configuration(export, config)
    demand_same_numbers(export, model, trained_config(source))
    return {
        "tensors": len(expected),
        "parameters": sum(tensor.numel for tensor in expected.values()),
        "largest_difference": 0.0,
        "dtype": str(model.dtype).removeprefix("torch."),
        **reply(export, model, prompt),
    }


def _files(export: Path) -> dict[str, Path]:
    """The file of each tensor of the export, as the files themselves say."""
    files: dict[str, Path] = {}
    for file in sorted(export.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as handle:
                names = dict.fromkeys(handle.keys(), file)
        except SafetensorError as problem:
            raise StageError(f"`{file}`: cut short, or not a safetensors file ({problem})", AGAIN) from problem
        if twice := sorted(files.keys() & names.keys()):
            raise StageError(f"`{file}`: `{twice[0]}` is in `{files[twice[0]].name}` too", AGAIN)
        files |= names
    return files


def _compare(file: Path, name: str, tensor: Tensor) -> None:
    with safe_open(file, framework="pt") as handle:
        shape = tuple(handle.get_slice(name).get_shape())
        if shape != tensor.shape:
            raise StageError(f"`{file}`: `{name}` is `{list(shape)}`, not `{list(tensor.shape)}`", AGAIN)
        start, differences = 0, []
        for block in _blocks(handle, name):
            original = torch.empty_like(block)
            tensor.read(start, original)
            start += len(block)
            if not torch.equal(block.view(torch.uint8), original.view(torch.uint8)):
                differences.append((block.double() - original.double()).abs().max())
            elif block.is_floating_point() and not block.isfinite().all():
                raise StageError(
                    f"`{file}`: `{name}` has values that are not finite, and so has the checkpoint",
                    "the training diverged: use an earlier checkpoint",
                )
    if differences:
        demand_sound(tensor)
        far = f"{float(torch.stack(differences).max()):g}"
        raise StageError(f"`{file}`: `{name}` is not the checkpoint's: values differ by up to {far}", AGAIN)


def _blocks(handle: Any, name: str) -> Iterator[torch.Tensor]:
    """The tensor's rows, flattened, some at a time."""
    rows = handle.get_slice(name)
    if not rows.get_shape():
        yield handle.get_tensor(name).flatten()
        return
    count, *rest = rows.get_shape()
    step = max(1, BLOCK // max(1, torch.Size(rest).numel()))
    for start in range(0, count, step):
        yield rows[start : start + step].flatten()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recipes.common.verify", description=__doc__.splitlines()[0])
    parser.add_argument("export", type=Path, help="the Hugging Face model")
    parser.add_argument("--checkpoint", type=Path, required=True, help="what it was converted from")
    parser.add_argument("--out", type=Path, required=True, help="gets metrics.json")
    parser.add_argument("--work", type=Path, help="report progress in this folder instead of on the terminal")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--config", type=Path, help="as it was named to the conversion")
    parser.add_argument("--merge", type=Path, metavar="BASE", help="the base that the adapter was merged into")
    args = parser.parse_args()
    with tensor_progress(args.work) as on_tensor:
        if args.merge:
            metrics = verify_merged(args.export, args.checkpoint, args.merge)
        elif (args.export / "adapter_config.json").is_file():
            metrics = verify_adapter(args.export, args.checkpoint)
        else:
            metrics = verify(args.export, args.checkpoint, args.prompt, on_tensor, args.config)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "metrics.json", metrics)
    ending = f"; reply: {metrics['reply']}" if "reply" in metrics else ""
    print(f"{args.export}: {metrics['tensors']} tensors are the checkpoint's{ending}")
