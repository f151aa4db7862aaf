"""Checks the settings of the stages before anything is paid. Nothing heavy is imported.

python -m recipes.honest_persona.preflight.settings REQUEST.json
"""

from functools import partial
from typing import Any

from recipes.common.preflight.settings import check_stages
from recipes.common.stage.command import run
from recipes.honest_persona import evaluate, selection, settings

KINDS: dict[str, Any] = {
    "prepare": selection.Settings,
    "train": settings.Settings,
    "evaluate": evaluate.Settings,
}

main = partial(check_stages, __doc__, KINDS)
"""Exits with 2 and an error message if a value is invalid."""

if __name__ == "__main__":
    run(main)
