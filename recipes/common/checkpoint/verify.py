"""Proves that an exported model has the weights of its checkpoint, and that it can answer.

    python -m recipes.common.verify EXPORT --checkpoint global_step_100/actor --out OUT [--work DIR] [--prompt TEXT]

transformers must open it without a missing, unexpected or mismatched tensor; every tensor, read by the safetensors
library, must be the checkpoint's after the cast, bit for bit; the chat template and greedy decoding make one reply.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipes.common.checkpoint.fsdp import open_shards
from recipes.common.checkpoint.pretrained import exported_tensors, read_config
from recipes.common.checkpoint.sharded_tensor import BLOCK, ShardedTensor
from recipes.common.stage.command import StageError, tensor_progress
from recipes.common.stage.files import write_json

PROMPT = "Say hello in one sentence."
REPLY_TOKENS = 64


def verify(export: Path, checkpoint: Path, prompt: str, on_tensor: Callable[[int, int], None]) -> dict[str, Any]:
    """The numbers of a correct export, with its reply; StageError for a wrong one.

    Memory: the model in its exported type, and two blocks. `on_tensor` is told (compared, all) after each tensor.
    """
    expected = exported_tensors(open_shards(checkpoint), read_config(checkpoint))
    files = _files(export)
    if odd := sorted(expected.keys() ^ files.keys()):
        side = "the checkpoint" if odd[0] in expected else "the export"
        raise StageError(f"`{export}`: only {side} has `{odd[0]}`", _AGAIN)
    for compared, (name, tensor) in enumerate(expected.items(), 1):
        _compare(files[name], name, tensor)
        on_tensor(compared, len(expected))
    model = _open(export)
    return {
        "tensors": len(expected),
        "parameters": sum(tensor.numel for tensor in expected.values()),
        "largest_difference": 0.0,
        "dtype": str(model.dtype).removeprefix("torch."),
        "prompt": prompt,
        "reply": _reply(export, model, prompt),
    }


_AGAIN = "the export was not made from this checkpoint, or was changed later: convert again"


def _files(export: Path) -> dict[str, Path]:
    """The file of each tensor of the export, as the files themselves say."""
    files = {}
    for file in sorted(export.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as handle:
                files |= dict.fromkeys(handle.keys(), file)
        except SafetensorError as problem:
            raise StageError(f"`{file}`: cut short, or not a safetensors file ({problem})", _AGAIN) from problem
    return files


def _compare(file: Path, name: str, tensor: ShardedTensor) -> None:
    with safe_open(file, framework="pt") as handle:
        shape = tuple(handle.get_slice(name).get_shape())
        if shape != tensor.shape:
            raise StageError(f"`{file}`: `{name}` is `{list(shape)}`, not `{list(tensor.shape)}`", _AGAIN)
        start, differences = 0, []
        for block in _blocks(handle, name):
            original = torch.empty_like(block)
            tensor.read(start, original)
            start += len(block)
            if not torch.equal(block.view(torch.uint8), original.view(torch.uint8)):
                differences.append((block.double() - original.double()).abs().max())
    if differences:
        largest = f"{float(torch.stack(differences).max()):g}"
        raise StageError(f"`{file}`: `{name}` is not the checkpoint's: values differ by up to {largest}", _AGAIN)


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


def _open(export: Path) -> Any:
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            export, dtype="auto", output_loading_info=True, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, RuntimeError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise StageError(f"`{export}`: transformers cannot open it: {reason}", _AGAIN) from problem
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(what):
            first = sorted(map(str, info[what]))[0]
            raise StageError(f"`{export}`: transformers finds {what.replace('_', ' ')}: `{first}`", _AGAIN)
    return model


def _reply(export: Path, model: Any, prompt: str) -> str:
    tokenizer = AutoTokenizer.from_pretrained(export, local_files_only=True, trust_remote_code=False)
    if not tokenizer.chat_template:
        raise StageError(
            f"`{export}`: the tokenizer has no chat template, so the model cannot answer a chat",
            "train from a tokenizer with a chat template: verl saves it with every checkpoint",
        )
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    # The sampling settings that come with the model would only be warned about.
    greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    tokens = model.generate(**chat, max_new_tokens=REPLY_TOKENS, **greedy)
    return tokenizer.decode(tokens[0, chat["input_ids"].shape[1] :], skip_special_tokens=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recipes.common.verify", description=__doc__.splitlines()[0])
    parser.add_argument("export", type=Path, help="the Hugging Face model")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the role that it was converted from")
    parser.add_argument("--out", type=Path, required=True, help="gets metrics.json")
    parser.add_argument("--work", type=Path, help="report progress in this folder instead of on the terminal")
    parser.add_argument("--prompt", default=PROMPT)
    args = parser.parse_args()
    with tensor_progress(args.work) as on_tensor:
        metrics = verify(args.export, args.checkpoint, args.prompt, on_tensor)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "metrics.json", metrics)
    print(f"{args.export}: {metrics['tensors']} tensors are the checkpoint's; reply: {metrics['reply']}")
