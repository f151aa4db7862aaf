"""Makes the model that goes home: Hugging Face weights, tokenizer, and a card that says what they are.

python -m recipes.gad.export SETTINGS.json --training OUT --data DATA --model MODEL --out OUT --work WORK
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from recipes.common.convert import DTYPES, convert
from recipes.common.files import read_json, write_json, write_text
from recipes.common.stage import Mistake, run
from recipes.common.tensor_progress import tensor_progress

MODES = {
    "adversarial": "generative adversarial distillation (arXiv:2511.10643): a warmup on the teacher's texts, then GRPO "
    "against a discriminator that learns along",
    "seqkd": "sequence-level distillation: supervised training on the teacher's texts",
}
"""How a card calls what each mode did."""

SHOWN = ("step", "rouge_l", "d_acc", "kl", "response_length", "actor_change", "world_size")
"""The numbers of the training that a card repeats."""

FILE_BYTES = 5 * 10**9


def card(base: dict[str, Any], training: dict[str, Any], data: dict[str, Any], dtype: str) -> str:
    """The model card. `base`, `training`: metrics.json of the model and of the training stage; `data`: report.json."""
    repo = base["repo"]
    known = f"base_model: {repo}\n" if "/" in repo and base.get("revision") else ""
    numbers = "\n".join(f"| {name} | {_shown(training[name])} |" for name in SHOWN if name in training)
    return (
        f"---\nlibrary_name: transformers\npipeline_tag: text-generation\n{known}tags: [distillation, verl]\n---\n\n"
        f"# {repo.rpartition('/')[2]}, distilled\n\n"
        f"Made from `{repo}` ({base.get('revision') or 'made on the spot'}) by {MODES[training['mode']]}.\n"
        f"Weights are {dtype}; the trainer's were float32. "
        f"{data['train']['rows']:,} training rows, {data['val']['rows']:,} validation rows.\n\n"
        f"| at the end of training | |\n|---|---|\n{numbers}\n\n"
        "ROUGE-L is measured against the teacher's validation texts and is a diagnostic, not a benchmark.\n"
        "Every pin this model was made from is in the run's `manifest.json`.\n"
    )


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(prog="python -m recipes.gad.export", description=__doc__.split("\n")[0])
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


if __name__ == "__main__":
    run(main)
