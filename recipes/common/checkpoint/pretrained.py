"""A checkpoint's tensors and configuration as `save_pretrained` of the right class would have written them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from recipes.common.checkpoint.difference import largest_difference
from recipes.common.checkpoint.fsdp import open_shards
from recipes.common.checkpoint.hf_tensors import StoredTensor
from recipes.common.checkpoint.older_keys import with_older_keys
from recipes.common.checkpoint.records import Checksums
from recipes.common.checkpoint.saved_layout import arranged, known_layout, saved_layout
from recipes.common.checkpoint.sharded_tensor import ShardedTensor, Tensor, demand_sound
from recipes.common.stage.command import StageError
from recipes.common.stage.files import read_json

INPUT_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight")
"""How the name ends of the tensor that a tied `lm_head.weight` repeats."""

QUANTIZED = ("quantization_config", "compression_config")
"""What a configuration has when the weights are quantized."""

VALUE_HEAD = {"v_head.summary.weight": "score.weight", "v_head.summary.bias": "score.bias"}
"""trl's value head is the linear layer that transformers calls `score`."""


def read_config(role: Path) -> dict[str, Any]:
    """The model's configuration as verl saved it with the rank files."""
    file = role / "huggingface" / "config.json"
    config = read_json(file)
    if not isinstance(config, dict):
        raise StageError(
            f"`{file}`: {'not a JSON object' if file.exists() else 'no such file'}",
            "verl saves it with the rank files of rank 0: copy the role's whole folder",
        )
    if not names_class(config):
        raise StageError(
            f"`{file}`: no `architectures`",
            'add the class of the model, such as `"architectures": ["Qwen2ForCausalLM"]`',
        )
    return config


def names_class(config: dict[str, Any]) -> bool:
    """Whether the configuration says of which class the model is."""
    names = config.get("architectures")
    return isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)


def exported_model(
    role: Path, dtype: torch.dtype | None, checksums: Checksums | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of the role's model and its configuration, as `save_pretrained` would write them after a cast to
    `dtype`; `checksums` are those of what is read of them. StageError when the checkpoint is not whole, or nobody knows
    how its class is saved."""
    return saved_model(named_tensors(open_shards(role, checksums)), read_config(role), dtype)


def saved_model(
    tensors: Mapping[str, Tensor], trained: dict[str, Any], dtype: torch.dtype | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """As `exported_model`, of tensors under their names in memory and the configuration of the training."""
    if dtype is not None:
        demand_numbers(tensors, trained, next(iter(tensors.values())).folder if tensors else "")
    config = exported_config(trained, tensors, main_dtype(tensors.values(), dtype))
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    names = [config["architectures"][0], trained["architectures"][0]]
    layout = known_layout(names[0], config, shapes) or saved_layout(names, config, shapes)
    tensors = without_ties(tensors, config, layout.ties if layout else None)
    return (arranged(tensors, layout) if layout else dict(tensors)), with_older_keys(config)


def named_tensors(tensors: dict[str, ShardedTensor]) -> dict[str, ShardedTensor]:
    """The tensors under the names of the exported model in memory. The language model's head beside trl's value head is
    left out: a critic has no use for it."""
    if lora := next((name for name in tensors if "lora_" in name), None):
        raise StageError(
            f"`{tensors[lora].folder}`: `{lora}` belongs to a LoRA adapter, which is not a model",
            "`python -m recipes.common.convert` writes the adapter as a folder of its own; `--merge` merges it",
        )
    if not VALUE_HEAD.keys() & tensors.keys():
        return tensors
    named = {critic_name(name): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if name != "lm_head.weight"}


def critic_name(name: str) -> str:
    """The name in transformers' class of a tensor of trl's model with a value head."""
    return VALUE_HEAD.get(name, name.removeprefix("pretrained_model."))


def without_ties(
    tensors: Mapping[str, Tensor], config: dict[str, Any], ties: Mapping[str, str] | None
) -> dict[str, Tensor]:
    """The tensors without those that repeat another one. `ties`: name of a tensor -> name of the one that it repeats,
    as the class says; None of a class that nobody knows. StageError when they are not equal."""
    ties = _seen_ties(tensors, config) if ties is None else ties
    pairs = {name: kept for name, kept in ties.items() if name in tensors and kept in tensors}
    for name, kept in pairs.items():
        _demand_equal(tensors[name], tensors[kept])
    return {name: tensor for name, tensor in tensors.items() if name not in pairs}


def exported_config(config: dict[str, Any], names: Iterable[str], dtype: torch.dtype) -> dict[str, Any]:
    """The configuration with the weights' type and the class that they are of.

    verl trains a critic as `...ForTokenClassification` with one label and leaves the actor's `...ForCausalLM` in it.
    The trainer's attention kernel is left out: the machine that opens the model may not have it.
    """
    type_name = str(dtype).removeprefix("torch.")
    exported = {**config, **dict.fromkeys(config.keys() & {"dtype", "torch_dtype"} or {"dtype"}, type_name)}
    exported.pop("attn_implementation", None)
    architecture = config["architectures"][0]
    if "score.weight" in names and not architecture.endswith("Classification"):
        exported["architectures"] = [re.sub(r"(For[A-Z]\w*)?$", "ForTokenClassification", architecture, count=1)]
        exported |= {"num_labels": 1, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    return exported


def cast(tensor: Tensor | StoredTensor, dtype: torch.dtype | None) -> torch.dtype:
    """The type in which the tensor is exported: whole numbers keep theirs, and so does everything for None."""
    return dtype if dtype is not None and tensor.dtype.is_floating_point else tensor.dtype


def demand_numbers(tensors: Mapping[str, Tensor | StoredTensor], config: Mapping[str, Any], where: str | Path) -> None:
    """StageError when the weights are quantized: then they are no numbers without their scales, and whoever casts them
    or adds to them makes other weights."""
    if key := next((key for key in QUANTIZED if config.get(key)), None):
        what = f"`{key}` in its `config.json` says that the weights are quantized"
    elif name := next(
        (name for name, it in tensors.items() if it.dtype.is_floating_point and it.dtype.itemsize < 2), ""
    ):
        what = f"`{name}` is of type `{tensors[name].dtype}`: the weights are quantized"
    else:
        return
    raise StageError(
        f"`{where}`: {what}, so they are not cast or merged",
        "`--dtype keep` writes them as they are; to merge, name the model before it was quantized",
    )


def main_dtype(tensors: Iterable[Tensor | StoredTensor], dtype: torch.dtype | None) -> torch.dtype:
    """The type in which most of the exported numbers are."""
    numbers: Counter[torch.dtype] = Counter()
    for tensor in tensors:
        numbers[cast(tensor, dtype)] += tensor.numel
    return numbers.most_common(1)[0][0]


def _seen_ties(tensors: Mapping[str, Tensor], config: dict[str, Any]) -> dict[str, str]:
    """Of a class that nobody knows the head is tied when the configuration says so, or, where it does not, when
    training shared it."""
    head = tensors.get("lm_head.weight")
    embeddings = next((name for name in tensors if name.endswith(INPUT_EMBEDDINGS)), None)
    if head is None or embeddings is None:
        return {}
    shared = _share_memory(head, tensors[embeddings])
    return {"lm_head.weight": embeddings} if config.get("tie_word_embeddings", shared) else {}


def _share_memory(left: Tensor, right: Tensor) -> bool:
    return isinstance(left, ShardedTensor) and isinstance(right, ShardedTensor) and left.shares_memory(right)


def _demand_equal(repeated: Tensor, kept: Tensor) -> None:
    shared = _share_memory(repeated, kept)
    if not shared and (repeated.shape != kept.shape or largest_difference(repeated, kept) != 0):
        demand_sound(repeated, kept)
        raise StageError(
            f"`{repeated.folder}`: `{repeated.name}` is not `{kept.name}`, though `tie_word_embeddings` is true",
            "training has untied them: set `tie_word_embeddings` to false in `huggingface/config.json` to keep both",
        )
