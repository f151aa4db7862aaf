"""Merges the adapter into the base, or takes the model that was trained whole, and compares both on logits.

    python -m recipes.synthetic_instruct.merge_adapter SETTINGS.json --base MODEL --training OUT --out OUT --work WORK

OUT is a Hugging Face model with the target's chat template, and metrics.json. 4-bit bases are merged at their full
precision: the adapter goes into the weights as they were before they were packed.
"""

from recipes.common.checkpoint.merge import MergeInputs, merge_and_compare
from recipes.common.model.card import origin_of
from recipes.common.stage.command import run
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import read_stage
from recipes.synthetic_instruct.chat import open_chat, save_chat
from recipes.synthetic_instruct.settings import MergeSettings


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, MergeInputs, MergeSettings, argv)
    trained = inputs.training / "model"
    base, adapter = (trained, None) if trained.is_dir() else (inputs.base, inputs.training / "adapter")
    numbers = merge_and_compare(base, adapter, inputs, settings)
    save_chat(open_chat(inputs.base, settings.template), inputs.out)
    write_json(inputs.out / "metrics.json", numbers | origin_of(inputs.base))


if __name__ == "__main__":
    run(main)
