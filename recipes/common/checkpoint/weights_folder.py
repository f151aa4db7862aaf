"""A folder with a whole model: safetensors weights, configuration, tokenizer."""

import math
from pathlib import Path

from safetensors import SafetensorError, safe_open

from recipes.common.stage import files
from recipes.common.stage.command import Mistake, StageError


def check(name: str, folder: Path) -> list[Path]:
    """The weight files of the model `name`; an error unless weights, configuration and tokenizer are all there."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise Mistake(f"`{name}` has no safetensors weights", "convert it: `save_pretrained` writes them")
    for file in ("config.json", "tokenizer_config.json"):
        if not (folder / file).is_file():
            raise Mistake(f"`{name}` has no `{file}`", "name a complete model, not an adapter or a part")
    index = files.read_json(folder / "model.safetensors.index.json")
    placed = index.get("weight_map") if isinstance(index, dict) else None
    named = {str(file_name) for file_name in placed.values()} if isinstance(placed, dict) else set()
    missing = sorted(named - {path.name for path in weights})
    if missing:
        raise StageError(f"`{name}` lacks {len(missing)} of its weight files, first `{missing[0]}`", "fetch it again")
    return weights


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
