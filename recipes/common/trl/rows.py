"""The rows of a training by TRL: those that it learns from, and those that it is evaluated with."""

from pathlib import Path
from typing import Any

from recipes.common.stage.command import StageError
from recipes.common.stage.journal import read_jsonl

Splits = dict[str, list[dict[str, Any]]]
"""`train` and `eval` -> their rows."""


def read_splits(data: Path, hint: str) -> Splits:
    """The rows of train.jsonl and eval.jsonl. Raises StageError with the hint if a file has none."""
    splits = {name: list(read_jsonl(data / f"{name}.jsonl")) for name in ("train", "eval")}
    for name, rows in splits.items():
        if not rows:
            raise StageError(f"`{data / f'{name}.jsonl'}` has no rows", hint)
    return splits


def preference(prompt: list[dict[str, str]], row: dict[str, Any]) -> dict[str, Any]:
    """A prompt with a row's two answers, as TRL reads them."""
    return {"prompt": prompt} | {side: [{"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")}


def check_pairs(splits: Splits, data: Path) -> None:
    """Raises StageError if the two answers of a row are the same: nothing can be learnt from it."""
    for name, rows in splits.items():
        for number, row in enumerate(rows, 1):
            if row["chosen"] == row["rejected"]:
                raise StageError(
                    f"`{data / f'{name}.jsonl'}`: line {number}: `chosen` and `rejected` are the same",
                    "leave the row out: nothing can be learnt from it",
                )
