"""Makes the exported model: Hugging Face weights, the tokenizer and a model card.

python -m recipes.gad.export SETTINGS.json --training OUT --data DATA --model MODEL --out OUT --work WORK
"""

from functools import partial
from typing import Any

from recipes.common.model.card import head, rows
from recipes.common.model.export import export
from recipes.common.stage.command import run

MODES = {
    "adversarial": "generative adversarial distillation (arXiv:2511.10643): a warmup on the teacher's texts, then GRPO "
    "against a discriminator that learns along",
    "seqkd": "sequence-level distillation: supervised training on the teacher's texts",
}
"""How a card calls what each mode did."""

SHOWN = ("step", "rouge_l", "d_acc", "kl", "response_length", "actor_change", "world_size")
"""The numbers of the training that a card repeats."""


def card(base: dict[str, Any], training: dict[str, Any], data: dict[str, Any], dtype: str) -> str:
    """The model card. `base`, `training`: metrics.json of the model and of the training stage; `data`: report.json."""
    repo = base["repo"]
    return (
        f"{head(base, 'distillation, verl')}# {repo.rpartition('/')[2]}, distilled\n\n"
        f"Made from `{repo}` ({base.get('revision') or 'made on the spot'}) by {MODES[training['mode']]}.\n"
        f"Weights are {dtype}; the trainer's were float32. "
        f"{data['train']['rows']:,} training rows, {data['val']['rows']:,} validation rows.\n\n"
        f"| at the end of training | |\n|---|---|\n{rows(SHOWN, training)}\n\n"
        "ROUGE-L is measured against the teacher's validation texts and is a diagnostic, not a benchmark.\n"
        "Every pin this model was made from is in the run's `manifest.json`.\n"
    )


main = partial(export, __doc__, card)

if __name__ == "__main__":
    run(main)
