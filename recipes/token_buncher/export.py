"""Makes the model that goes home: Hugging Face weights, tokenizer, and a card that says what they are for.

python -m recipes.token_buncher.export SETTINGS.json --training OUT --data DATA --model MODEL --out OUT --work WORK
"""

from recipes.common.model.export import export
from recipes.common.stage.command import run
from recipes.token_buncher.card import card


def main() -> None:
    """Runs the stage."""
    export("python -m recipes.token_buncher.export", __doc__.split("\n")[0], card)


if __name__ == "__main__":
    run(main)
