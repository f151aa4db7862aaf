"""The export stage: a folder with the model, which the launcher pulls, and its card. Each family writes its own card.

A family whose last training leaves a sharded checkpoint converts it with `export`. A family whose last stage leaves a
whole Hugging Face model takes its files with `copy_model`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from recipes.common.model.card import outs_of, read_numbers, rows
from recipes.common.model.fetch import link
from recipes.common.stage.command import Mistake, tensor_progress
from recipes.common.stage.files import read_json, write_json, write_text
from recipes.common.stage.inputs import StageInputs, read_inputs

Card = Callable[[dict[str, Any], dict[str, Any], dict[str, Any], str], str]
"""The text for metrics.json of the model and of the training stage, the data's report.json, and the weights' type."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """The arguments of an export that converts a checkpoint."""

    training: Path
    data: Path
    model: Path


@dataclass(frozen=True, kw_only=True)
class ModelInputs:
    """The arguments of an export that takes a whole model, with the outputs of earlier stages."""

    model: Path
    out: Path
    stage: Annotated[list[str], {"action": "append", "metavar": "NAME=OUT", "help": "an earlier stage's output"}] = ()


@dataclass(frozen=True)
class StageOutputs:
    """The outputs of earlier stages, and their metrics.json, by the name of the stage."""

    folders: dict[str, Path]
    numbers: dict[str, dict[str, Any]]

    def text(self, stage: str, file: str) -> str:
        """A text file in the output of a stage."""
        return (self.folders[stage] / file).read_text(encoding="utf-8")


def export(about: str, card: Card) -> None:
    """Runs the export stage of a recipe: OUT holds Hugging Face weights, the tokenizer and the card."""
    import torch

    from recipes.common.checkpoint.convert import DTYPES, FILE_BYTES, convert

    inputs = read_inputs(about, Inputs)
    dtype = read_json(inputs.settings)["export_dtype"]
    if dtype not in DTYPES:
        raise Mistake(f"`export_dtype` is `{dtype}`", f"it is one of {', '.join(f'`{name}`' for name in DTYPES)}")
    training, data = read_json(inputs.training / "metrics.json"), read_json(inputs.data / "report.json")
    torch.set_num_threads(1)
    with tensor_progress(inputs.work) as on_tensor:
        conversion = convert(inputs.training / "actor", inputs.out, DTYPES[dtype], FILE_BYTES, on_tensor)
    text = card(read_json(inputs.model / "metrics.json"), training, data, conversion.dtype)
    write_text(inputs.out / "README.md", text)
    write_json(inputs.out / "metrics.json", conversion.numbers() | {"architecture": conversion.architecture})
    print(conversion)


def copy_model(inputs: ModelInputs) -> tuple[dict[str, Any], StageOutputs]:
    """OUT holds the model's files, without its metrics.json. Returns what that file says, and the earlier stages."""
    folders = outs_of(inputs.stage)
    stages = StageOutputs(folders, {name: read_numbers(folder) for name, folder in folders.items()})
    model = read_numbers(inputs.model)
    inputs.out.mkdir(parents=True, exist_ok=True)
    link(inputs.model, inputs.out)
    (inputs.out / "metrics.json").unlink(missing_ok=True)  # a link to the model's own file: it must not be changed
    return model, stages


def tables(shown: Mapping[str, tuple[str, ...]], numbers: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table for each stage, in the order of `numbers`. `shown`: the numbers of a stage that a card repeats;
    `dpo` stands for `dpo1` and `dpo2` too, the stages of rounds."""
    return "".join(
        f"\n| {stage} | |\n|---|---|\n{rows(names, stage_numbers)}\n"
        for stage, stage_numbers in numbers.items()
        if (names := shown.get(kind_of(stage)))
    )


def kind_of(stage: str) -> str:
    """`dpo` of `dpo2`: the stage without the number of its round."""
    return stage.rstrip("0123456789")
