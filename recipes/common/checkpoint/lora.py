"""A LoRA adapter, as peft saves it, merged into the model it was trained on.

`merge` makes the model; `check` (lora_check.py) proves that it computes what base and adapter compute together. Memory
does not grow with the model: each tensor is read, changed in float32, rounded once and written before the next is
read.
"""

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipes.common.checkpoint.convert import Summary, check_room, summary_of
from recipes.common.checkpoint.formats.kind import weight_files
from recipes.common.checkpoint.hf_tensors import StoredTensor, open_headers, open_stored
from recipes.common.checkpoint.pretrained import cast, demand_numbers, exported_config, main_dtype, names_class
from recipes.common.checkpoint.safetensors import Entry, header, index, plan_files
from recipes.common.checkpoint.weights_folder import WEIGHTS, content_fault
from recipes.common.stage.command import StageError
from recipes.common.stage.files import copy_files, read_json, whole_folder, write_json

PREFIX = "base_model.model."
"""What peft puts before the names of the base's modules."""

NOT_PLAIN = ("use_dora", "fan_in_fan_out", "modules_to_save", "rank_pattern", "alpha_pattern", "megatron_config")
"""Settings of peft's LoraConfig under which the change of a weight is another than scale * B A."""

STARTS = ("gaussian", "eva", "orthogonal", "mica")
"""Ways of peft 0.21 to begin a training that leave the base's weights as they are."""


@dataclass(frozen=True)
class Adapter:
    """A weight of the base changes by scale * B A."""

    folder: Path
    scale: float
    pairs: dict[str, tuple[StoredTensor, StoredTensor]]
    """Name of the base's tensor -> A of (rank, inputs), B of (outputs, rank)."""


def open_adapter(folder: Path) -> Adapter:
    """The adapter in `folder`; only headers have been read. StageError when it is no plain LoRA adapter."""
    config = read_json(folder / "adapter_config.json")
    again = "give the folder that peft's `save_pretrained` wrote"
    if not isinstance(config, dict):
        raise StageError(f"`{folder}`: no `adapter_config.json`", again)
    if config.get("peft_type") != "LORA":
        raise StageError(f"`{folder}`: the adapter is `{config.get('peft_type')}`, not `LORA`", "only LoRA is merged")
    for name in [*NOT_PLAIN, *(["bias"] if config.get("bias", "none") != "none" else [])]:
        if config.get(name):
            shown = json.dumps(config[name])
            raise StageError(
                f"`{folder}`: the adapter's `{name}` is `{shown}`, which is not merged", "train plain LoRA"
            )
    start = config.get("init_lora_weights", True)
    if not (start is None or isinstance(start, bool) or str(start).lower() in STARTS):
        raise StageError(
            f"`{folder}`: the adapter's `init_lora_weights` is `{start}`, with which peft changes the base's weights "
            "too, so the adapter does not fit the base as it was",
            "save it with `save_pretrained(..., path_initial_model_for_weight_conversion=...)`, which makes plain LoRA",
        )
    rank, alpha = config.get("r"), config.get("lora_alpha")
    most = torch.finfo(torch.float32).max
    if type(rank) is not int or not 1 <= rank <= most or type(alpha) not in (int, float) or not abs(alpha) <= most:
        raise StageError(
            f"`{folder}`: `r` is `{rank}` and `lora_alpha` is `{alpha}`, and one of them is not a number", again
        )
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Adapter(folder, scale, _pairs(folder, open_stored(folder)))


def merge(
    base: Path,
    adapter: Path | None,
    out: Path,
    dtype: torch.dtype | None,
    max_shard_bytes: int,
    on_tensor: Callable[[int, int], None],
) -> Summary:
    """`out` is the base, with the adapter in its weights where there is one, its configuration and tokenizer; after
    an error it is unchanged.

    Floating-point tensors are cast to `dtype`, None keeps the base's. `on_tensor` is told (written, all) after each.
    """
    began = time.monotonic()
    lora, tensors = open_adapter(adapter) if adapter else Adapter(base, 0.0, {}), _open_base(base)
    trained = _config(base)
    if adapter or dtype is not None:
        demand_numbers(tensors, trained, base)
    for name, pair in lora.pairs.items():
        if name not in tensors:
            raise StageError(
                f"`{adapter}` changes `{name}`, which `{base}` does not have",
                "name the base that the adapter was trained on",
            )
        if not _fits(tensors[name].shape, *(tensor.shape for tensor in pair)):
            raise StageError(
                f"`{adapter}` changes `{name}` in another shape than `{base}` has",
                "name the base that the adapter was trained on",
            )
    files = plan_files(
        (Entry(name, tensor.shape, cast(tensor, dtype)) for name, tensor in tensors.items()), max_shard_bytes
    )
    entries = [entry for group in files.values() for entry in group]
    config = exported_config(trained, tensors, main_dtype(tensors.values(), dtype))
    with whole_folder(out) as part:
        check_room(part, sum(entry.nbytes for entry in entries))
        copy_files(base, part, shutil.ignore_patterns(*WEIGHTS, "metrics.json"))
        write_json(part / "config.json", config)
        if len(files) > 1:
            write_json(part / "model.safetensors.index.json", index(files))
        written = 0
        for name, group in files.items():
            with open(part / name, "wb") as file:
                file.write(header(group))
                for entry in group:
                    file.write(_merged(lora, tensors[entry.name], entry).view(torch.uint8).numpy())
                    written += 1
                    on_tensor(written, len(entries))
    return summary_of(config, files, began)


def _open_base(base: Path) -> dict[str, StoredTensor]:
    """The tensors of the files that transformers opens of the base. StageError when one of them is missing."""
    files = [file for file in weight_files(base) if file.suffix == ".safetensors"]
    if absent := [file.name for file in files if not file.is_file()]:
        fault: str | None = f"`{absent[0]}` is missing, which the index names"
    else:
        tensors = open_headers(files) if files else open_stored(base)
        held: dict[str, set[str]] = {file.name: set() for file in files}
        for name, tensor in tensors.items():
            held.setdefault(tensor.file.name, set()).add(name)
        fault = content_fault(base, held)
    if fault:
        raise StageError(f"`{base}`: {fault}", "copy or download the whole model again")
    return tensors


def _pairs(folder: Path, tensors: dict[str, StoredTensor]) -> dict[str, tuple[StoredTensor, StoredTensor]]:
    pairs = {}
    for name in tensors:
        module, kind, _ = name.rpartition(".lora_A.weight")
        other = f"{module}.lora_B.weight"
        if kind and module.startswith(PREFIX) and other in tensors:
            pairs[f"{module.removeprefix(PREFIX)}.weight"] = (tensors[name], tensors[other])
    if odd := 2 * len(pairs) - len(tensors):
        raise StageError(f"`{folder}`: {-odd} tensors are not part of a pair of LoRA's A and B", "train plain LoRA")
    return pairs


def _fits(weight: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether B A can be added to the weight."""
    return len(a) == len(b) == 2 and a[0] == b[1] and weight == (b[0], a[1])


def _config(base: Path) -> dict[str, Any]:
    config = read_json(base / "config.json")
    if not isinstance(config, dict) or not names_class(config):
        raise StageError(f"`{base / 'config.json'}`: no `architectures`", "name the folder of a whole model")
    return config


def _merged(lora: Adapter, tensor: StoredTensor, entry: Entry) -> torch.Tensor:
    """The tensor's numbers in the exported type, flattened."""
    pair = lora.pairs.get(entry.name)
    if pair is None:
        return _read(tensor, entry.dtype).flatten()
    a, b = (_read(factor, torch.float32) for factor in pair)
    weight = _read(tensor, torch.float32).add_(b @ a, alpha=lora.scale).to(entry.dtype)
    if not weight.isfinite().all():
        raise StageError(f"`{entry.name}`: the merged weights are not finite in {entry.dtype}", "train it again")
    return weight.flatten()


def _read(tensor: StoredTensor, dtype: torch.dtype) -> torch.Tensor:
    values = torch.empty(tensor.numel, dtype=dtype)
    tensor.read(0, values)
    return values.view(tensor.shape)
