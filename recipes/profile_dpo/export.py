"""Makes the folder that goes home: the current model, every round's adapter, and a card with what was measured.

    python -m recipes.profile_dpo.export --model CURRENT --stage NAME=OUT [--stage ...] --out OUT

OUT holds the model's files, adapters/NAME/ of each training, README.md (the card), report.md and metrics.json.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from recipes.common.checkpoint.hf_tensors import open_stored
from recipes.common.checkpoint.pretrained import main_dtype
from recipes.common.model.card import head, outs_of, read_numbers, rows
from recipes.common.model.fetch import link
from recipes.common.stage.command import run
from recipes.common.stage.files import write_json, write_text
from recipes.common.stage.inputs import read_inputs

REPORTS = {"tournament": "report.md", "evaluate": "evaluation.md"}
"""Stage, whichever its round -> the text that it left."""


SHOWN = {
    "generate": ("authors", "texts", "unparsed", "profiles"),
    "tournament": ("tournaments", "comparisons", "preferences", "first_share", "disagreement", "coins", "dollars"),
    "dpo": ("steps", "rows", "max_length", "loss_first", "loss_last", "eval_loss", "eval_rewards_accuracies"),
}
"""Stage -> its numbers that the card repeats."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the command line names."""

    model: Path
    out: Path
    stage: Annotated[list[str], {"action": "append", "metavar": "NAME=OUT", "help": "an earlier stage's output"}] = ()


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs = read_inputs(__doc__, Inputs, argv)
    outs = outs_of(inputs.stage)
    numbers = {name: read_numbers(place) for name, place in outs.items()}
    model = read_numbers(inputs.model)
    inputs.out.mkdir(parents=True, exist_ok=True)
    link(inputs.model, inputs.out)
    (inputs.out / "metrics.json").unlink(missing_ok=True)  # the model's own, on the same bytes
    for name, place in outs.items():
        if (place / "adapter").is_dir():
            shutil.copytree(place / "adapter", inputs.out / "adapters" / name, dirs_exist_ok=True)
    texts = {
        name: (place / file).read_text(encoding="utf-8")
        for name, place in outs.items()
        for kind, file in REPORTS.items()
        if name.rstrip("0123456789") == kind
    }
    write_text(
        inputs.out / "report.md", "# Report\n" + "".join(f"\n## {name}\n\n{text}" for name, text in texts.items())
    )
    tensors = open_stored(inputs.out)
    dtype = str(main_dtype(tensors.values(), None)).removeprefix("torch.")
    parameters = sum(one.numel for one in tensors.values())
    write_text(inputs.out / "README.md", card(model | {"dtype": dtype}, numbers, texts))
    made = {"parameters": parameters, "tensors": len(tensors), "dtype": dtype, "trained": model["trained"]}
    write_json(inputs.out / "metrics.json", made)
    print(f"{len(tensors)} tensors, {parameters:,} parameters, {dtype}")


def card(model: dict[str, Any], numbers: dict[str, dict[str, Any]], texts: dict[str, str]) -> str:
    """`model`: metrics.json of the current model, and its `dtype`; `numbers`: those of the stages; `texts`: reports."""
    base, judge = numbers["model"], numbers["judge"]
    tables = ""
    for stage, found in numbers.items():
        if names := SHOWN.get(stage.rstrip("0123456789")):
            tables += f"\n| {stage} | |\n|---|---|\n{rows(names, found)}\n"
    measured = "".join(f"\n### {name}\n\n{text}" for name, text in texts.items() if name.startswith("evaluate"))
    what = (
        "Preferences come from tournaments of the model's own profiles, judged by "
        f"`{judge['repo']}` ({judge.get('revision') or 'no revision'}); direct preference optimization with a LoRA "
        f"adapter, merged into the weights, which are {model['dtype']}. The adapter of each round is in `adapters/`."
    )
    if not model["trained"]:
        what = (
            "**No round passed the gate: these are the base's own weights.** The adapter of each round is in "
            "`adapters/`; what was measured is below."
        )
    return (
        f"{head(model, 'dpo, trl, peft, profiles')}"
        f"# {base['repo'].rpartition('/')[2]}, tuned to write competency profiles\n\n"
        f"Made from `{base['repo']}` ({base.get('revision') or 'made on the spot'}) to write a researcher's competency "
        f"profile from the abstracts of a few papers. {what}\n\n"
        "## Limits\n\n"
        "A profile says what a judge model prefers to read, not what is true of a person: do not decide about people "
        "by it. The win rate below is that judge's too, on authors who were not trained on.\n\n"
        f"## Evaluation\n{measured}\n"
        f"## Numbers\n{tables}"
    )


if __name__ == "__main__":
    run(main)
