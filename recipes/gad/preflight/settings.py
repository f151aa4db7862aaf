"""Checks the stages' settings before anything is paid: no torch, no verl.

python -m recipes.gad.preflight.settings REQUEST.json
"""

from functools import partial

from recipes.common.preflight.settings import check_stages
from recipes.common.stage.command import run
from recipes.common.verl.config import check_settings
from recipes.gad.settings import Settings
from recipes.gad.verl_config import DECIDED

KINDS = {"train": Settings}

main = partial(check_stages, __doc__, KINDS, look=partial(check_settings, decided=DECIDED))
"""Exits with 2 and an error when a value is invalid, or verl would not read an override."""

if __name__ == "__main__":
    run(main)
