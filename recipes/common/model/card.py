"""What the cards of all models begin with, and their tables of numbers."""

from collections.abc import Iterable, Mapping
from typing import Any


def head(base: Mapping[str, Any], tags: str) -> str:
    """The hub's metadata. A base is claimed only when it is a repository of the hub, at a known commit."""
    repo = base["repo"]
    known = f"base_model: {repo}\n" if "/" in repo and base.get("revision") else ""
    return f"---\nlibrary_name: transformers\npipeline_tag: text-generation\n{known}tags: [{tags}]\n---\n\n"


def rows(names: Iterable[str], numbers: Mapping[str, Any]) -> str:
    """A table's row for each of the names that there is a number for."""
    return "\n".join(f"| {name} | {_shown(numbers[name])} |" for name in names if name in numbers)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
