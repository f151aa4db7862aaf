"""A folder with a whole model: safetensors weights, configuration, tokenizer."""

import json
import math
from pathlib import Path

from recipes.common import files
from recipes.common.stage import Mistake, StageError


def check(name: str, folder: Path) -> list[Path]:
    """The weight files of the model `name`; an error unless weights, configuration and tokenizer are all there."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise Mistake(f"`{name}` has no safetensors weights", "convert it: `save_pretrained` writes them")
    for file in ("config.json", "tokenizer_config.json"):
        if not (folder / file).is_file():
            raise Mistake(f"`{name}` has no `{file}`", "name a complete model, not an adapter or a part")
    index = files.read_json(folder / "model.safetensors.index.json") or {"weight_map": {}}
    missing = sorted(set(index["weight_map"].values()) - {path.name for path in weights})
    if missing:
        raise StageError(f"`{name}` lacks {len(missing)} of its weight files, first `{missing[0]}`", "fetch it again")
    return weights


def parameters(path: Path) -> int:
    """The elements of all tensors in a safetensors file; an error when the file is cut short or something else.

    Format: 8 bytes with the header's length, a JSON header, the tensors' bytes without gaps.
    """
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            tensors = json.loads(file.read(min(length, size)))
        tensors.pop("__metadata__", None)
        end = 8 + length + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
        count = sum(math.prod(tensor["shape"]) for tensor in tensors.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        end = count = -1
    if end != size:
        hint = "fetch it again; a git checkout needs `git lfs pull`"
        raise StageError(f"`{path.name}` is not a whole safetensors file ({size:,} bytes)", hint)
    return count
