"""The parts that all model cards share: the hub's metadata, tables of numbers, and what earlier stages wrote."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recipes.common.stage.command import Mistake
from recipes.common.stage.files import read_json


def head(base: Mapping[str, Any], tags: str) -> str:
    """The hub's metadata. A base is claimed only when it is a repository of the hub, at a known commit."""
    repo = base["repo"]
    known = f"base_model: {repo}\n" if "/" in repo and base.get("revision") else ""
    return f"---\nlibrary_name: transformers\npipeline_tag: text-generation\n{known}tags: [{tags}]\n---\n\n"


def rows(names: Iterable[str], numbers: Mapping[str, Any]) -> str:
    """The rows of a table: one for each name that has a number."""
    return "\n".join(f"| {name} | {_shown(numbers[name])} |" for name in names if name in numbers)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def origin_of(model: Path) -> dict[str, Any]:
    """The folder's repository and commit, as the model stage wrote them; for another folder, its path and None."""
    noted = read_json(model / "metrics.json") or {}
    return {"repo": noted.get("repo", str(model)), "revision": noted.get("revision")}


def outs_of(arguments: Iterable[str]) -> dict[str, Path]:
    """Stage -> its output, from arguments such as `evaluate=/run/stages/evaluate/out`."""
    return {name: Path(folder) for name, _, folder in (argument.partition("=") for argument in arguments)}


def read_numbers(out: Path) -> dict[str, Any]:
    """A stage's metrics.json."""
    numbers = read_json(out / "metrics.json")
    if not isinstance(numbers, dict):
        raise Mistake(
            f"`{out}` is not the output of a finished stage",
            "name the folder that the stage wrote: it holds metrics.json",
        )
    return numbers
