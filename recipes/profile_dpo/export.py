"""Writes the export: the current model, the adapter of every round, and a card with the numbers of all stages.

    python -m recipes.profile_dpo.export --model CURRENT --stage NAME=OUT [--stage ...] --out OUT

OUT holds the model's files, adapters/NAME/ of each training, README.md (the card), report.md and metrics.json.
"""

import shutil
from typing import Any

from recipes.common.checkpoint.hf_tensors import open_stored
from recipes.common.checkpoint.pretrained import main_dtype
from recipes.common.model.card import head
from recipes.common.model.export import ModelInputs, copy_model, kind_of, tables
from recipes.common.stage.command import run
from recipes.common.stage.files import write_json, write_text
from recipes.common.stage.inputs import read_inputs

REPORTS = {"tournament": "report.md", "evaluate": "evaluation.md"}
"""A stage, without the number of its round -> the file with its report."""

SHOWN = {
    "generate": ("authors", "texts", "unparsed", "profiles"),
    "tournament": ("tournaments", "comparisons", "preferences", "first_share", "disagreement", "coins", "dollars"),
    "dpo": ("steps", "rows", "max_length", "loss_first", "loss_last", "eval_loss", "eval_rewards_accuracies"),
}
"""A stage -> those of its numbers that the card repeats."""


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs = read_inputs(__doc__, ModelInputs, argv)
    model, stages = copy_model(inputs)
    for name, folder in stages.folders.items():
        if (folder / "adapter").is_dir():
            shutil.copytree(folder / "adapter", inputs.out / "adapters" / name, dirs_exist_ok=True)
    texts = {name: stages.text(name, file) for name in stages.folders if (file := REPORTS.get(kind_of(name)))}
    report = "".join(f"\n## {name}\n\n{text}" for name, text in texts.items())
    write_text(inputs.out / "report.md", f"# Report\n{report}")
    tensors = open_stored(inputs.out)
    dtype = str(main_dtype(tensors.values(), None)).removeprefix("torch.")
    parameters = sum(tensor.numel for tensor in tensors.values())
    write_text(inputs.out / "README.md", card(model | {"dtype": dtype}, stages.numbers, texts))
    numbers = {"parameters": parameters, "tensors": len(tensors), "dtype": dtype, "trained": model["trained"]}
    write_json(inputs.out / "metrics.json", numbers)
    print(f"{len(tensors)} tensors, {parameters:,} parameters, {dtype}")


def card(model: dict[str, Any], numbers: dict[str, dict[str, Any]], texts: dict[str, str]) -> str:
    """`model`: metrics.json of the current model, and its `dtype`; `numbers`: those of the stages; `texts`: reports."""
    base, judge = numbers["model"], numbers["judge"]
    measured = "".join(f"\n### {name}\n\n{text}" for name, text in texts.items() if name.startswith("evaluate"))
    method = (
        "Preferences come from tournaments of the model's own profiles, judged by "
        f"`{judge['repo']}` ({judge.get('revision') or 'no revision'}); direct preference optimization with a LoRA "
        f"adapter, merged into the weights, which are {model['dtype']}. The adapter of each round is in `adapters/`."
    )
    if not model["trained"]:
        method = (
            "**No round passed the gate: these are the base's own weights.** The adapter of each round is in "
            "`adapters/`; what was measured is below."
        )
    return (
        f"{head(model, 'dpo, trl, peft, profiles')}"
        f"# {base['repo'].rpartition('/')[2]}, tuned to write competency profiles\n\n"
        f"Made from `{base['repo']}` ({base.get('revision') or 'made on the spot'}) to write a researcher's competency "
        f"profile from the abstracts of a few papers. {method}\n\n"
        "## Limits\n\n"
        "A profile says what a judge model prefers to read, not what is true of a person: do not decide about people "
        "by it. The win rate below is that judge's too, on authors who were not trained on.\n\n"
        f"## Evaluation\n{measured}\n"
        f"## Numbers\n{tables(SHOWN, numbers)}"
    )


if __name__ == "__main__":
    run(main)
