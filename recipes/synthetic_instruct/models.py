"""Puts a model into a folder: the generator, the base that is trained, or the judge.

    python -m recipes.synthetic_instruct.models SETTINGS.json --kind generator|base|judge --texts FILE \\
        --out OUT --work WORK

From the hub or a folder, as recipes.common.model.fetch does; weights that are only there as a pickle are read without
running its code, and saved as safetensors. `tiny` is made on the spot of FILE's rows {"instruction", "response"}.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from recipes.common.model.fetch import MODEL_FILES, Source, fetch_model, link, model_numbers, source_folder
from recipes.common.stage import files
from recipes.common.stage.command import run
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.journal import read_jsonl

KINDS = ("generator", "base", "judge")
PICKLE = "pytorch_model.bin"


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    repo: str
    revision: str | None = None
    lesson_steps: int = 0
    """Of a `tiny` generator: how long it learns FILE by heart, before which nothing that it writes is a text."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    kind: Annotated[str, {"choices": KINDS}]
    texts: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    source = Source(settings.repo, settings.revision)
    if settings.repo == "tiny":
        metrics = make_tiny(inputs.kind, settings, inputs.texts, inputs.out)
    elif inputs.kind == "judge":
        metrics = fetch_judge(source, inputs.out, inputs.work)
    else:
        metrics = fetch_model(source, [], inputs.out, inputs.work)
    files.write_json(inputs.out / "metrics.json", metrics)
    print(f"{settings.repo}: {metrics['parameters']:,} parameters, {metrics['bytes']:,} bytes")


def make_tiny(kind: str, settings: Settings, texts: Path, out: Path) -> dict[str, Any]:
    """`out` holds a rehearsal's model of that kind; its parameters, bytes, repository and revision."""
    from recipes.synthetic_instruct import tiny

    pairs = read_pairs(texts)
    if kind == "judge":
        tiny.save_judge(out, pairs)
    else:
        tiny.save_speaker(out, pairs, settings.lesson_steps if kind == "generator" else 0)
    return model_numbers(settings.repo, None, out)


def read_pairs(texts: Path) -> list[tuple[str, str]]:
    """The chats of a file."""
    return [(row["instruction"], row["response"]) for row in read_jsonl(texts)]


def fetch_judge(source: Source, out: Path, work: Path) -> dict[str, Any]:
    """`out` holds the reward model, whose weights may come as a pickle and whose tokenizer as a sentencepiece model."""
    folder = source_folder(source, work, (*MODEL_FILES, "spm.model", PICKLE))
    link(folder, out, (*MODEL_FILES, "spm.model"))
    if not list(out.glob("*.safetensors")) and (folder / PICKLE).is_file():
        unpickle(folder / PICKLE, out / "model.safetensors")
    return model_numbers(source.repo, folder.name if source.on_hub else None, out)


def unpickle(pickle: Path, target: Path) -> None:
    """`target` holds the pickle's tensors. torch reads it with `weights_only`, which runs none of its code."""
    import torch
    from safetensors.torch import save_file

    tensors = torch.load(pickle, map_location="cpu", weights_only=True)
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, target, {"format": "pt"})


if __name__ == "__main__":
    run(main)
