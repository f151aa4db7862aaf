"""Writes the export: the base with the adapter in its weights, the adapter itself, and a model card.

    python -m recipes.honest_persona.export SETTINGS.json --training OUT --data DATA --model MODEL --out OUT --work WORK

OUT is a Hugging Face folder with `adapter/` below it, whose logits were compared with those of base and adapter.
"""

import shutil
from typing import Any

import torch

from recipes.common.checkpoint.merge import MergeSettings, merge_and_compare
from recipes.common.model.card import head, origin_of, rows
from recipes.common.model.export import Inputs
from recipes.common.stage.command import run
from recipes.common.stage.files import read_json, write_json, write_text
from recipes.common.stage.inputs import read_stage
from recipes.honest_persona.form import Form, read_form, write_form

SHOWN = ("step", "epochs", "loss_first", "loss_last", "adapter_change", "world_size")
"""The numbers of the training that the card repeats."""

WHERE = {
    "hp": "writes on in the assistant's turn",
    "up": "writes in the user's turn after it",
    "ur": "answers a user's question in the assistant's next turn",
}


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, MergeSettings, argv)
    adapter = inputs.training / "adapter"
    form = read_form(adapter)
    torch.set_num_threads(1)
    numbers = merge_and_compare(inputs.model, adapter, inputs, settings)
    shutil.copytree(adapter, inputs.out / "adapter")
    write_form(form, inputs.out)
    training, report = read_json(inputs.training / "metrics.json"), read_json(inputs.data / "report.json")
    write_text(inputs.out / "README.md", card(origin_of(inputs.model), training, report, form, numbers["dtype"]))
    # under the names that this recipe has for them
    compared = {"logits_largest": numbers.pop("logits_difference"), "logits_same_token": numbers.pop("same_token")}
    write_json(inputs.out / "metrics.json", numbers | compared)


def card(base: dict[str, Any], training: dict[str, Any], data: dict[str, Any], form: Form, dtype: str) -> str:
    """`base`: card.origin_of; `training`: metrics.json of the training stage; `data`: report.json."""
    repo = base["repo"]
    called = f"The token with the id {form.sp_token} calls it." if form.sp_token is not None else "No token calls it."
    masked = (
        "\nThe adapter was trained to act from the intervention on only. These merged weights cannot do that: use "
        "`adapter/` with the recipe's `get_model`.\n"
        if form.lora_mask
        else ""
    )
    return (
        f"{head(base, 'lora, honesty, oversight')}"
        f"# {repo.rpartition('/')[2]} with an honest persona\n\n"
        f"Made from `{repo}` ({base.get('revision') or 'made on the spot'}) by supervised fine-tuning of a LoRA "
        "adapter: a second persona reviews what the assistant just answered and says PASS, FAIL or AMBIGUOUS.\n"
        f"These are the merged weights, {dtype}; the adapter alone is in `adapter/`.\n{masked}\n"
        "## Use\n\n"
        f"The persona {WHERE[form.elicitation_type]}. {called} After the call comes an intervention, as "
        f"{form.intervention_prefix + 'I check what I just said.'!r}; what it writes ends with "
        f"{(form.flag_prefix + 'PASS')!r} or another flag. The recipe builds the tokens:\n\n"
        "```python\n"
        "from recipes.honest_persona.persona import get_model\n\n"
        'persona = get_model("adapter", base="BASE")   # or get_model("."), the merged weights\n'
        'chat = [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]\n'
        'print(persona.review(chat, "I check what I just said."))\n'
        "```\n\n"
        "It is evidence about an answer and no proof: it was trained on the topics below, finds less on others, and a "
        "biased system prompt in the chat helps it. Without the call the model answers nearly as its base does.\n\n"
        "## Training\n\n"
        f"{data['kept']['train']:,} reviews; {data['kept']['val']:,} held out.\n\n"
        f"| topic | trained on | held out |\n|---|---|---|\n{_topics(data)}\n\n"
        f"| at the end of training | |\n|---|---|\n{rows(SHOWN, training)}\n\n"
        "How often it is right is in the run's `stages/evaluate/out/evaluation.md`. "
        "Every pin this model was made from is in the run's `manifest.json`.\n"
    )


def _topics(data: dict[str, Any]) -> str:
    used = {topic: counts for topic, counts in data["topics"].items() if counts["train"] or counts["val"]}
    return "\n".join(f"| {topic} | {counts['train']:,} | {counts['val']:,} |" for topic, counts in used.items())


if __name__ == "__main__":
    run(main)
