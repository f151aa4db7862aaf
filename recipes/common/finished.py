"""What earlier stages of a run left, for a stage that puts it together."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recipes.common.stage.command import Mistake
from recipes.common.stage.files import read_json


def outs_of(words: Iterable[str]) -> dict[str, Path]:
    """Stage -> its output, of words such as `evaluate=/run/stages/evaluate/out`."""
    return {name: Path(place) for name, _, place in (one.partition("=") for one in words)}


def read_numbers(out: Path) -> dict[str, Any]:
    """A stage's metrics.json."""
    found = read_json(out / "metrics.json")
    if not isinstance(found, dict):
        raise Mistake(f"`{out}` is no finished stage's output", "it holds metrics.json")
    return found
