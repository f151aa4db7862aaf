"""A LoRA adapter of a checkpoint: written as a folder that peft opens, or merged into its base.

peft's own folders have it (`checkpoint-500` of a LoRA training), and verl's rank files: verl trains the model that peft
made, saves what FSDP gives it, and beside it `lora_train_meta.json` with the rank and alpha.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipes.common.checkpoint.formats.hf_folder import open_files
from recipes.common.checkpoint.formats.kind import Kind
from recipes.common.checkpoint.formats.model_names import without_wrappers
from recipes.common.checkpoint.formats.source import trainers_files
from recipes.common.checkpoint.fsdp import load_rank, open_shards, world_size
from recipes.common.checkpoint.lora import PREFIX
from recipes.common.checkpoint.pretrained import cast
from recipes.common.checkpoint.records import Checksums
from recipes.common.checkpoint.sharded_tensor import BLOCK, Tensor
from recipes.common.stage.command import Mistake, StageError
from recipes.common.stage.files import copy_files, read_json, whole_folder, write_json

META = "lora_train_meta.json"
NAMES = ("adapter_model.safetensors", "adapter_model.bin")
FACTORS = (".lora_A", ".lora_B")
EMBEDDING_FACTORS = (".lora_embedding_A", ".lora_embedding_B")
BASE_LAYER = ".base_layer"
"""What peft puts into the name of a weight that has an adapter."""


@dataclass(frozen=True)
class AdapterSource:
    """An adapter that was opened."""

    folder: Path
    kind: Kind
    tensors: dict[str, Tensor]
    """By the names that peft writes."""
    config: dict[str, Any]
    """What `adapter_config.json` says of it."""
    base: dict[str, Tensor]
    """The weights under it by their names in the model, where the checkpoint has them."""
    checksums: Checksums
    """Of what is read of verl's rank files."""


@dataclass(frozen=True)
class MergedTensor:
    """A weight of the base with scale * B A added to it, computed in float32 for the rows that are asked for."""

    weight: Tensor
    name: str
    a: torch.Tensor
    b: torch.Tensor
    scale: float

    @property
    def folder(self) -> str:
        return self.weight.folder

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weight.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.weight.dtype

    @property
    def numel(self) -> int:
        return self.weight.numel

    def read(self, start: int, out: torch.Tensor) -> None:
        """`out` (one dimension, contiguous) holds the flattened elements from `start` on, cast to its own type."""
        width = self.shape[1]
        first, last = start // width, -(-(start + len(out)) // width)
        values = torch.empty(len(out))
        self.weight.read(start, values)
        change = (self.b[first:last] @ self.a).flatten()[start - first * width :][: len(out)]
        out.copy_(values.add_(change, alpha=self.scale))

    def fetch_soon(self, start: int, stop: int) -> None:
        """The disk has been asked for the base's elements `start` to `stop`."""
        self.weight.fetch_soon(start, stop)


def open_adapter_source(folder: Path, kind: Kind) -> AdapterSource | None:
    """The adapter in the checkpoint; None of a role without one. StageError when it is not whole, or nobody knows its
    rank and alpha."""
    if kind is Kind.VERL:
        return _of_role(folder)
    if kind is not Kind.ADAPTER:
        return None
    config = read_json(folder / "adapter_config.json")
    if not isinstance(config, dict) or "peft_type" not in config:
        raise StageError(f"`{folder / 'adapter_config.json'}`: no `peft_type`", "copy the whole checkpoint again")
    file = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if file is None:
        raise StageError(
            f"`{folder}`: `{NAMES[0]}` is missing", "copy the whole checkpoint again, or use an earlier one"
        )
    tensors = open_files(folder, [file])
    _demand_pairs(folder, tensors)
    return AdapterSource(folder, kind, tensors, config, {}, Checksums())


def write_adapter(
    source: AdapterSource, out: Path, dtype: torch.dtype | None, on_tensor: Callable[[int, int], None]
) -> None:
    """`out` is the adapter as peft saves it, with its tokenizer, complete and on disk; after an error it is as it was.
    Floating-point tensors are cast to `dtype`; None keeps them."""
    from safetensors.torch import save_file

    beside = source.folder / "huggingface" if source.kind is Kind.VERL else source.folder
    with whole_folder(out) as part:
        if beside.is_dir():
            copy_files(beside, part, trainers_files)
            for name in ("config.json", "generation_config.json"):  # with one, transformers looks for a whole model
                (part / name).unlink(missing_ok=True)
        written = {}
        for name, tensor in source.tensors.items():
            values = torch.empty(tensor.numel, dtype=cast(tensor, dtype))
            tensor.read(0, values)
            if values.dtype == torch.float16 and values.isinf().any():
                raise StageError(
                    f"`{name}` has values beyond 65504, which float16 cannot hold", "convert with `--dtype bfloat16`"
                )
            written[name] = values.view(tensor.shape)
            on_tensor(len(written), len(source.tensors))
        source.checksums.finish()
        save_file(written, part / NAMES[0], metadata={"format": "pt"})
        write_json(part / "adapter_config.json", source.config)


def _demand_pairs(folder: Path, names: Mapping[str, Any]) -> None:
    """StageError when the adapter has one of LoRA's two factors of a weight, and not the other."""
    for name in names:
        for factor, other in (FACTORS, FACTORS[::-1], EMBEDDING_FACTORS, EMBEDDING_FACTORS[::-1]):
            module, has_it, rest = name.rpartition(factor)
            if has_it and (absent := f"{module}{other}{rest}") not in names:
                raise StageError(
                    f"`{folder}`: the adapter has `{name}`, and not `{absent}`",
                    "copy the whole checkpoint again, or use an earlier one",
                )


def merged_tensors(source: AdapterSource) -> dict[str, Tensor]:
    """The model's tensors by their names in memory, with the adapter in those that it changes: of a checkpoint that has
    the weights under its adapter. Mistake when it has none."""
    if not source.base:
        raise Mistake(
            f"`{source.folder}`: has the adapter alone, without the model under it",
            "name the model that the adapter was trained on: `--merge BASE`",
        )
    scale = source.config["lora_alpha"] / source.config["r"]
    merged = dict(source.base)
    for name in source.tensors:
        module, kind, _ = name.removeprefix(PREFIX).rpartition(".lora_A.weight")
        if not kind:
            continue
        weight, a, b = source.base.get(f"{module}.weight"), name, name.replace(".lora_A.", ".lora_B.")
        if weight is None or len(weight.shape) != 2:
            raise StageError(f"`{source.folder}`: `{name}` changes no matrix of the model", "train plain LoRA")
        merged[f"{module}.weight"] = MergedTensor(
            weight, f"{module}.weight", _whole(source.tensors[a]), _whole(source.tensors[b]), scale
        )
    return merged


def named_base(source: AdapterSource) -> Path:
    """The folder of the base that the adapter itself names. Mistake when it is not here."""
    named = source.config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named or not (Path(named) / "config.json").is_file():
        raise Mistake(
            f"`{source.folder}`: the adapter's `base_model_name_or_path` is `{named}`, which is no folder with a model",
            "name the folder of the model that it was trained on: `--merge BASE`",
        )
    return Path(named)


def _of_role(folder: Path) -> AdapterSource | None:
    if not any("lora_" in name for name in load_rank(folder, world_size(folder), 0)):
        return None
    checksums = Checksums()
    shards: Mapping[str, Tensor] = {
        without_wrappers(name): tensor for name, tensor in open_shards(folder, checksums).items()
    }
    names = [name for name in shards if "lora_" in name]
    adapter = {name.replace(".default.", "."): shards[name] for name in names}
    if odd := [
        name
        for name in adapter
        if not name.startswith(PREFIX) or not name.endswith(tuple(f"{it}.weight" for it in FACTORS))
    ]:
        raise StageError(f"`{folder}`: `{odd[0]}` is not part of plain LoRA", "train plain LoRA")
    _demand_pairs(folder, adapter)
    base = {
        name.removeprefix(PREFIX).replace(BASE_LAYER, ""): tensor
        for name, tensor in shards.items()
        if name not in names
    }
    return AdapterSource(folder, Kind.VERL, adapter, _config_of_role(folder, adapter), base, checksums)


def _config_of_role(folder: Path, adapter: Mapping[str, Tensor]) -> dict[str, Any]:
    """What peft's configuration says of an adapter that verl trained."""
    import peft

    file = folder / META
    meta = read_json(file)
    rank, alpha = (meta.get("r"), meta.get("lora_alpha")) if isinstance(meta, dict) else (None, None)
    if type(rank) is not int or rank < 1 or type(alpha) not in (int, float) or not alpha:
        raise StageError(
            f"`{file}`: {f'`r` is `{rank}` and `lora_alpha` is `{alpha}`' if file.exists() else 'no such file'}, so "
            "nobody knows how strong the LoRA adapter is",
            'write it as the training had it, such as `{"r": 16, "lora_alpha": 32}`',
        )
    for name, tensor in adapter.items():
        if tensor.shape[0 if ".lora_A." in name else 1] != rank:
            raise StageError(
                f"`{file}`: `r` is `{rank}`, and `{name}` is `{list(tensor.shape)}`",
                "the file is of another training: write it as this one had it",
            )
    modules = sorted({name.rpartition(".lora_")[0].rpartition(".")[2] for name in adapter})
    task = meta.get("task_type") if isinstance(meta, dict) else None
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, task_type=task, inference_mode=True).to_dict()
    return {**json.loads(json.dumps(config, default=list)), "target_modules": modules}


def _whole(tensor: Tensor) -> torch.Tensor:
    values = torch.empty(tensor.numel)
    for start in range(0, tensor.numel, BLOCK):
        tensor.read(start, values[start : start + BLOCK])
    return values.view(tensor.shape)
