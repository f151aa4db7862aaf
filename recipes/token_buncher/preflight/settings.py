"""Checks the stages' settings before anything is paid: no torch, no verl.

python -m recipes.token_buncher.preflight.settings REQUEST.json
"""

from functools import partial

from recipes.common.preflight.settings import check_stages
from recipes.common.stage.command import run
from recipes.common.verl.config import check_settings
from recipes.token_buncher import evaluate
from recipes.token_buncher.settings import Settings
from recipes.token_buncher.verl_config import DECIDED

KINDS = {"train": Settings, "evaluate": evaluate.Settings}


def main(argv: list[str] | None = None) -> None:
    """Exits with 2 and an error when a value is invalid, or verl would not read an override."""
    check_stages(__doc__, KINDS, argv, partial(check_settings, decided=DECIDED))


if __name__ == "__main__":
    run(main)
