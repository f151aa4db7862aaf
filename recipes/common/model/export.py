"""The stage that makes the model that goes home; what its card says is a recipe's own.

python -m recipes.FAMILY.export SETTINGS.json --training OUT --data DATA --model MODEL --out OUT --work WORK
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from recipes.common.checkpoint.convert import DTYPES, convert
from recipes.common.stage.command import Mistake, tensor_progress
from recipes.common.stage.files import read_json, write_json, write_text

FILE_BYTES = 5 * 10**9

Card = Callable[[dict[str, Any], dict[str, Any], dict[str, Any], str], str]
"""The text for metrics.json of the model and of the training stage, the data's report.json, and the weights' type."""


def export(program: str, about: str, card: Card) -> None:
    """The command of a recipe's export stage: OUT holds Hugging Face weights, the tokenizer and the card."""
    parser = argparse.ArgumentParser(prog=program, description=about)
    parser.add_argument("settings", type=Path)
    for name in ("--training", "--data", "--model", "--out", "--work"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    dtype = read_json(args.settings)["export_dtype"]
    if dtype not in DTYPES:
        raise Mistake(f"`export_dtype` is `{dtype}`", f"it is one of {', '.join(f'`{name}`' for name in DTYPES)}")
    training, data = read_json(args.training / "metrics.json"), read_json(args.data / "report.json")
    torch.set_num_threads(1)
    with tensor_progress(args.work) as on_tensor:
        made = convert(args.training / "actor", args.out, DTYPES[dtype], FILE_BYTES, on_tensor)
    write_text(args.out / "README.md", card(read_json(args.model / "metrics.json"), training, data, made.dtype))
    numbers = {"tensors": made.tensors, "parameters": made.parameters, "bytes": made.bytes, "dtype": made.dtype}
    write_json(args.out / "metrics.json", numbers | {"architecture": made.architecture})
    print(made)
