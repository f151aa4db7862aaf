"""What the folder of the base model says about it."""

from pathlib import Path
from typing import Any

from recipes.common.stage.command import Mistake
from recipes.common.stage.files import read_json


def base_of(folder: Path) -> dict[str, Any]:
    """Its repository and commit, as the model stage noted them; of another folder, its path and None."""
    found = read_json(folder / "metrics.json") or {}
    return {"repo": found.get("repo", str(folder)), "revision": found.get("revision")}


def embeddings(model: Path) -> int:
    """How many tokens the model in the folder has a vector for."""
    config = read_json(model / "config.json") or {}
    found = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    if not found:
        raise Mistake(f"`{model / 'config.json'}` has no `vocab_size`", "name the folder that the model stage made")
    return int(found)
