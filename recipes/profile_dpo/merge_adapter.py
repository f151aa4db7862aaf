"""Merges the trained adapter into the model that it was trained on, and compares both on logits.

    python -m recipes.profile_dpo.merge_adapter SETTINGS.json --base MODEL --training OUT --out OUT --work WORK

OUT is a whole model with its tokenizer, and metrics.json.
"""

from recipes.common.checkpoint.merge import MergeInputs, MergeSettings, merge_and_compare
from recipes.common.model.card import origin_of
from recipes.common.stage.command import run
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import read_stage


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, MergeInputs, MergeSettings, argv)
    numbers = merge_and_compare(inputs.base, inputs.training / "adapter", inputs, settings)
    write_json(inputs.out / "metrics.json", numbers | origin_of(inputs.base))


if __name__ == "__main__":
    run(main)
