"""Looks at the stages' settings before anything is paid: no torch.

python -m recipes.honest_persona.preflight.settings REQUEST.json
"""

from typing import Any

from recipes.common.stage.command import run
from recipes.common.stage.settings import check_stages
from recipes.honest_persona import evaluate, selection, settings

KINDS: dict[str, Any] = {
    "prepare": selection.Settings,
    "train": settings.Settings,
    "evaluate": evaluate.Settings,
}


def main(argv: list[str] | None = None) -> None:
    """Exits with 2 and a sentence when a value cannot be."""
    check_stages("python -m recipes.honest_persona.preflight.settings", __doc__.split("\n")[0], KINDS, argv)


if __name__ == "__main__":
    run(main)
