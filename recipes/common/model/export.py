"""The stage that makes the model that goes home; what its card says is a recipe's own.

python -m recipes.FAMILY.export SETTINGS.json --training OUT --data DATA --model MODEL --out OUT --work WORK
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipes.common.checkpoint.convert import DTYPES, FILE_BYTES, convert
from recipes.common.stage.command import Mistake, tensor_progress
from recipes.common.stage.files import read_json, write_json, write_text
from recipes.common.stage.inputs import StageInputs, read_inputs

Card = Callable[[dict[str, Any], dict[str, Any], dict[str, Any], str], str]
"""The text for metrics.json of the model and of the training stage, the data's report.json, and the weights' type."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """What the command line names."""

    training: Path
    data: Path
    model: Path


def export(about: str, card: Card) -> None:
    """The command of a recipe's export stage: OUT holds Hugging Face weights, the tokenizer and the card."""
    inputs = read_inputs(about, Inputs)
    dtype = read_json(inputs.settings)["export_dtype"]
    if dtype not in DTYPES:
        raise Mistake(f"`export_dtype` is `{dtype}`", f"it is one of {', '.join(f'`{name}`' for name in DTYPES)}")
    training, data = read_json(inputs.training / "metrics.json"), read_json(inputs.data / "report.json")
    torch.set_num_threads(1)
    with tensor_progress(inputs.work) as on_tensor:
        made = convert(inputs.training / "actor", inputs.out, DTYPES[dtype], FILE_BYTES, on_tensor)
    write_text(inputs.out / "README.md", card(read_json(inputs.model / "metrics.json"), training, data, made.dtype))
    write_json(inputs.out / "metrics.json", made.numbers() | {"architecture": made.architecture})
    print(made)
