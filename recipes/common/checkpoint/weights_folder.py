"""A folder with a whole model: safetensors weights, configuration, tokenizer."""

import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from recipes.common.stage import files
from recipes.common.stage.command import Mistake, StageError

WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.bin.index.json")
"""Files of weights, which are not copied where others take their place."""


NUMBERED = re.compile(r"(.*-)(\d{1,9})-of-(\d{1,9})(\.\w+)", re.ASCII)
"""The name of one of several weight files."""


def check(name: str, folder: Path) -> list[Path]:
    """The weight files of the model `name`; an error unless weights, configuration and tokenizer are all there."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise Mistake(f"`{name}` has no safetensors weights", "convert it: `save_pretrained` writes them")
    for file in ("config.json", "tokenizer_config.json"):
        if not (folder / file).is_file():
            raise Mistake(f"`{name}` has no `{file}`", "name a complete model, not an adapter or a part")
    indexed = files_of_index(folder / "model.safetensors.index.json") or set()
    missing = sorted(indexed - {path.name for path in weights})
    if missing:
        raise StageError(f"`{name}` lacks {len(missing)} of its weight files, first `{missing[0]}`", "fetch it again")
    return weights


def index_fault(folder: Path) -> str | None:
    """What is wrong with the weight files of a model that transformers opens by them; None when nothing is: it reads
    `model.safetensors` where that is, and otherwise the files that the index names."""
    there = {path.name for path in folder.glob("*.safetensors")}
    index = folder / "model.safetensors.index.json"
    extra = next(iter(sorted(folder.glob("pytorch_model*.bin"))), None)
    if extra is not None:
        return f"`{extra.name}` lies beside the safetensors files: a reader may take it for the weights"
    if "model.safetensors" in there or not index.exists():
        others = sorted(there - {"model.safetensors"})
        if "model.safetensors" in there:
            return f"`{others[0]}` lies beside `model.safetensors`: nobody reads it" if others else None
        return f"`{others[0]}` and no `{index.name}`, so nobody reads it" if others else "no safetensors file"
    content = files_of_index(index)
    if content is None:
        return f"`{index.name}` has no `weight_map`"
    if absent := sorted(content - there):
        return f"`{index.name}` names `{absent[0]}`, which is not there"
    if unnamed := sorted(there - content):
        return f"`{unnamed[0]}` is not in `{index.name}`: nobody reads it"
    return None


def content_fault(folder: Path, held: Mapping[str, Collection[str]]) -> str | None:
    """What the weight files that transformers opens lack, by their own names and by the index; None when nothing is
    missing. `held`: name of each file -> the tensors in it."""
    for name in held:
        if numbered := NUMBERED.fullmatch(name):
            start, number, count, end = numbered.groups()
            names = (f"{start}{i:0{len(number)}d}-of-{count}{end}" for i in range(1, int(count) + 1))
            if absent := next((other for other in names if other not in held), None):
                return f"`{absent}` is missing beside `{name}`"
    kind = "model.safetensors" if any(name.endswith(".safetensors") for name in held) else "pytorch_model.bin"
    index = folder / f"{kind}.index.json"
    if kind in held or not index.exists():
        return None
    places = _weight_map(index)
    if places is None:
        return f"`{index.name}` has no `weight_map`"
    odd = next((name for name, file in places.items() if name not in held.get(str(file), ())), None)
    return odd and f"`{index.name}` says that `{places[odd]}` has `{odd}`, which it has not"


def files_of_index(index: Path) -> set[str] | None:
    """The weight files that an index names; None when it is not one."""
    places = _weight_map(index)
    return None if places is None else {str(name) for name in places.values()}


def _weight_map(index: Path) -> dict[str, Any] | None:
    """Tensor -> file, as an index says; None when it is not one."""
    content = files.read_json(index)
    places = content.get("weight_map") if isinstance(content, dict) else None
    return places if isinstance(places, dict) else None


def parameters(path: Path) -> int:
    """The elements of all tensors in a safetensors file; an error when the file is cut short or something else."""
    try:
        with safe_open(path, framework="np") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except SafetensorError:
        raise StageError(
            f"`{path.name}` is not a whole safetensors file ({path.stat().st_size:,} bytes)",
            "fetch it again; a git checkout needs `git lfs pull`",
        ) from None
