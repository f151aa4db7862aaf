"""Makes the exported model: Hugging Face weights, the tokenizer and a model card.

python -m recipes.token_buncher.export SETTINGS.json --training OUT --data DATA --model MODEL --out OUT --work WORK
"""

from functools import partial
from typing import Any

from recipes.common.model.card import head, rows
from recipes.common.model.export import export
from recipes.common.stage.command import run

SHOWN = (
    "step",
    "noiser_steps",
    "entropy_first",
    "entropy_last",
    "reward_last",
    "kl_last",
    "actor_change",
    "world_size",
)
"""The numbers of the training that the card repeats."""

FORMS = {"paper": "epsilon {}", "upstream": "epsilon {}, applied twice to the noise as in the authors' code"}


def card(base: dict[str, Any], training: dict[str, Any], data: dict[str, Any], dtype: str) -> str:
    """The model card. `base`, `training`: metrics.json of the model and of the training stage; `data`: report.json."""
    repo = base["repo"]
    noise = FORMS[training["noise_form"]].format(training["noise"])
    return (
        f"{head(base, 'safety, defence, verl')}"
        f"# {repo.rpartition('/')[2]}, hardened against harmful reinforcement learning\n\n"
        f"Made from `{repo}` ({base.get('revision') or 'made on the spot'}) by Token-Buncher (arXiv:2508.20697): "
        "GRPO with minus the entropy of its own answers to harmful questions as the reward, and token noiser steps "
        f"({noise}) in between.\n"
        f"Weights are {dtype}; the trainer's were float32.\n\n"
        "## Intended use\n\n"
        "Releasing open weights that are harder to turn to harm by reinforcement learning: answers to harmful "
        "questions hardly vary, so that there is little for such an attack to reward. Use it wherever its base model "
        "would be used.\n\n"
        "It is one layer of defence and no proof of safety. It does not make the model refuse more than its base does, "
        "is not meant against supervised fine-tuning or prompts that jailbreak, and questions unlike those it was "
        "trained on are covered less. Measure before you rely on it: `--stages attack` of this recipe does.\n\n"
        "## Training\n\n"
        f"{data['kept']['train']:,} questions, from {', '.join(data['source'])}; their answers were not used.\n\n"
        f"| at the end of training | |\n|---|---|\n{rows(SHOWN, training)}\n\n"
        "Entropies are in nats, means over the first and the last fifth of the steps.\n"
        "Every pin this model was made from is in the run's `manifest.json`.\n"
    )


main = partial(export, __doc__, card)

if __name__ == "__main__":
    run(main)
