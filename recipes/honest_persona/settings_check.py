"""Looks at a stage's settings before anything is paid: no torch.

python -m recipes.honest_persona.settings_check prepare|train|evaluate SETTINGS.json
"""

from typing import Any

from recipes.common.settings import check_stage
from recipes.common.stage import run
from recipes.honest_persona import evaluate, selection, settings

KINDS: dict[str, Any] = {
    "prepare": selection.Settings,
    "train": settings.Settings,
    "evaluate": evaluate.Settings,
}


def main(argv: list[str] | None = None) -> None:
    """Exits with 2 and a sentence when a value cannot be."""
    stage = check_stage("python -m recipes.honest_persona.settings_check", __doc__.split("\n")[0], KINDS, argv)
    print(f"{stage}: the settings fit")


if __name__ == "__main__":
    run(main)
