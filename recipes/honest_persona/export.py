"""Makes the model that goes home: the adapter in the base's weights, the adapter itself, and a card.

    python -m recipes.honest_persona.export SETTINGS.json --training OUT --data DATA --model MODEL --out OUT --work WORK

OUT is a Hugging Face folder with `adapter/` below it, whose logits have been compared with those of base and adapter.
"""

import argparse
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from recipes.common.checkpoint import lora, lora_check
from recipes.common.checkpoint.convert import DTYPES
from recipes.common.model.export import FILE_BYTES
from recipes.common.stage.command import run, tensor_progress
from recipes.common.stage.files import read_json, write_json, write_text
from recipes.common.stage.settings import check_choice, read_settings
from recipes.honest_persona.base import base_of
from recipes.honest_persona.card import card
from recipes.honest_persona.form import read_form, write_form


@dataclass(frozen=True)
class Settings:
    """What the plan says."""

    export_dtype: str
    device: str
    """Where the logits are compared: cuda, on all GPUs, or cpu."""

    def __post_init__(self) -> None:
        check_choice(self, "export_dtype", tuple(DTYPES))
        check_choice(self, "device", ("cuda", "cpu"))


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(prog="python -m recipes.honest_persona.export", description=__doc__.split("\n")[0])
    parser.add_argument("settings", type=Path)
    for name in ("--training", "--data", "--model", "--out", "--work"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args(argv)
    settings, form = read_settings(given.settings, Settings), read_form(given.training / "adapter")
    trained = given.training / "adapter"
    torch.set_num_threads(1)
    with tensor_progress(given.work) as on_tensor:
        made = lora.merge(given.model, trained, given.out, DTYPES[settings.export_dtype], FILE_BYTES, on_tensor)
    apart = lora_check.check(given.model, trained, given.out, settings.device)
    shutil.copytree(trained, given.out / "adapter")
    write_form(form, given.out)
    training, report = read_json(given.training / "metrics.json"), read_json(given.data / "report.json")
    write_text(given.out / "README.md", card(base_of(given.model), training, report, form, made.dtype))
    difference = {f"logits_{name}": value for name, value in asdict(apart).items()}
    numbers = {"tensors": made.tensors, "parameters": made.parameters, "bytes": made.bytes, "dtype": made.dtype}
    write_json(given.out / "metrics.json", numbers | difference)
    print(f"{made}; logits differ by at most {apart.largest:.3g} from base and adapter")


if __name__ == "__main__":
    run(main)
