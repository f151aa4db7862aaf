"""A checkpoint of any kind as the model that `save_pretrained` would write of it."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

from recipes.common.checkpoint.formats.deepspeed import open_zero
from recipes.common.checkpoint.formats.hf_folder import open_folder
from recipes.common.checkpoint.formats.kind import Kind, dcp_folder, deepspeed_folder
from recipes.common.checkpoint.formats.model_names import model_tensors
from recipes.common.checkpoint.fsdp import open_shards
from recipes.common.checkpoint.older_keys import with_older_keys
from recipes.common.checkpoint.pretrained import (
    QUANTIZED,
    demand_numbers,
    exported_config,
    exported_model,
    main_dtype,
    named_tensors,
    names_class,
    saved_model,
    without_ties,
)
from recipes.common.checkpoint.records import Checksums
from recipes.common.checkpoint.saved_layout import AS_IN_MEMORY, Layout, saved_layout
from recipes.common.checkpoint.sharded_tensor import Tensor
from recipes.common.checkpoint.weights_folder import WEIGHTS
from recipes.common.stage.command import Mistake, StageError
from recipes.common.stage.files import read_json

MODEL_FILES = ("*.json", "*.jinja", "*.model", "*.tiktoken", "vocab.txt", "merges.txt")
"""Configuration and tokenizer, where a trainer's files lie beside them."""
TEMPLATES = "additional_chat_templates"
TRAINERS = (*WEIGHTS, "trainer_state.json", "adapter_config.json", "fsdp_config.json", "metrics.json", "*_results.json")
"""What no model has, though its name ends in the same way."""


@dataclass(frozen=True)
class Source:
    """Where a checkpoint is, and what it is."""

    folder: Path
    kind: Kind
    beside: Path
    """The folder with `config.json` and the tokenizer."""


@dataclass(frozen=True)
class ExportedModel:
    """A model as `save_pretrained` would write it after a cast to `dtype`; None keeps the types."""

    tensors: Mapping[str, Tensor]
    config: dict[str, Any]
    dtype: torch.dtype | None


def find_source(folder: Path, kind: Kind, config: Path | None) -> Source:
    """The checkpoint `folder` with the folder of its configuration: `config` when it is named, otherwise what lies in
    the checkpoint or beside it. Mistake when there is none."""
    if config is not None:
        if not (config / "config.json").is_file():
            raise Mistake(f"`{config}`: no `config.json`", "name the folder of the model that was trained")
        return Source(folder, kind, config)
    if kind is Kind.VERL:
        return Source(folder, kind, folder / "huggingface")
    places = [folder, folder / "huggingface", folder.absolute().parent, folder.absolute().parent / "huggingface"]
    beside = next((place for place in places if (place / "config.json").is_file()), None)
    if beside is None:
        raise Mistake(
            f"`{folder}`: {kind.value}, and no `config.json` lies in it or beside it",
            "name the folder of the model that was trained, with its configuration and tokenizer: `--config FOLDER`",
        )
    return Source(folder, kind, beside)


def exported_source(source: Source, dtype: torch.dtype | None, checksums: Checksums | None = None) -> ExportedModel:
    """The checkpoint's model; `checksums` are those of what is read of verl's rank files. StageError when the
    checkpoint is not whole, or nobody knows how its class is saved."""
    if _of_verl(source):
        return ExportedModel(*exported_model(source.folder, dtype, checksums), dtype)
    config = trained_config(source)
    if source.kind is Kind.VERL:
        return exported_tensors(source, named_tensors(open_shards(source.folder, checksums)), dtype)
    if source.kind is Kind.HUGGING_FACE:
        return ExportedModel(*_saved_before(source, config, dtype), dtype)
    return exported_tensors(source, model_tensors(source.folder, open_source(source), config), dtype)


def exported_tensors(source: Source, tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> ExportedModel:
    """As `exported_source`, of the model's tensors by their names in memory."""
    return ExportedModel(*saved_model(tensors, trained_config(source), dtype), dtype)


def not_of_the_model(source: Source) -> Callable[[str, list[str]], set[str]]:
    """For `copy_files`: what of the folder beside the weights is not copied with them. verl gives configuration
    and tokenizer a folder of their own; elsewhere they lie between the trainer's files and other checkpoints."""
    return shutil.ignore_patterns(*WEIGHTS) if _of_verl(source) else trainers_files


def trainers_files(folder: str, names: list[str]) -> set[str]:
    """Of the `names` in a folder, those that are no configuration and no tokenizer."""
    paths = [Path(folder, name) for name in names]
    return {
        path.name for path in paths if not _of_a_model(path) or any(fnmatch(path.name, pattern) for pattern in TRAINERS)
    }


def _of_verl(source: Source) -> bool:
    return source.kind is Kind.VERL and source.beside == source.folder / "huggingface"


def _of_a_model(path: Path) -> bool:
    if path.is_dir():
        return path.name == TEMPLATES
    return any(fnmatch(path.name, pattern) for pattern in MODEL_FILES)


def open_source(source: Source) -> dict[str, Tensor]:
    """Every tensor in the checkpoint's files, under the names in them."""
    if source.kind is Kind.DCP and (place := dcp_folder(source.folder)):
        from recipes.common.checkpoint.formats.dcp import open_dcp  # torch's reader is large

        return open_dcp(place)
    if source.kind is Kind.DEEPSPEED and (place := deepspeed_folder(source.folder)):
        return open_zero(place)
    return open_folder(source.folder)


def trained_config(source: Source) -> dict[str, Any]:
    """The model's configuration as the training had it."""
    file = source.beside / "config.json"
    config = read_json(file)
    if not isinstance(config, dict) or not names_class(config):
        raise StageError(
            f"`{file}`: {'no `architectures`' if isinstance(config, dict) else 'not a JSON object'}",
            'add the class of the model, such as `"architectures": ["Qwen2ForCausalLM"]`, or name another folder: '
            "`--config FOLDER`",
        )
    return config


def _saved_before(
    source: Source, trained: dict[str, Any], dtype: torch.dtype | None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Of a folder whose tensors have the names on disk already; a pickle has a tied tensor twice."""
    tensors = open_folder(source.folder)
    if dtype is not None:
        demand_numbers(tensors, trained, source.folder)
    config = exported_config(trained, tensors, main_dtype(tensors.values(), dtype))
    layout = saved_layout([config["architectures"][0]], config, {})
    if layout and config["architectures"][0] in AS_IN_MEMORY and not any(config.get(key) for key in QUANTIZED):
        _demand_class(source.folder, tensors, layout, config["architectures"][0])
    return without_ties(tensors, config, layout.ties if layout else None), with_older_keys(config)


def _demand_class(folder: Path, tensors: Mapping[str, Tensor], layout: Layout, architecture: str) -> None:
    """StageError when a tensor that the class keeps is not there, or has another shape."""
    for name, shape in layout.state.items():
        if name not in tensors and name not in layout.ties:
            what = "which the folder has not"
        elif name in tensors and tensors[name].shape != shape:
            what = f"in the shape `{list(shape)}`, and the folder in `{list(tensors[name].shape)}`"
        else:
            continue
        raise StageError(
            f"`{folder}`: `{architecture}` has `{name}`, {what}",
            "copy the whole checkpoint again, or name the trained model's configuration: `--config FOLDER`",
        )
