"""Looks at a stage's settings before anything is paid: no torch.

python -m recipes.honest_persona.settings_check prepare|train|evaluate SETTINGS.json
"""

import argparse
from pathlib import Path
from typing import Any

from recipes.common.settings import read_settings
from recipes.common.stage import run
from recipes.honest_persona import evaluate, selection, settings

KINDS: dict[str, Any] = {
    "prepare": selection.Settings,
    "train": settings.Settings,
    "evaluate": evaluate.Settings,
}


def main(argv: list[str] | None = None) -> None:
    """Exits with 2 and a sentence when a value cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.honest_persona.settings_check", description=__doc__.split("\n")[0]
    )
    parser.add_argument("stage", choices=KINDS)
    parser.add_argument("settings", type=Path)
    given = parser.parse_args(argv)
    read_settings(given.settings, KINDS[given.stage])
    print(f"{given.stage}: the settings fit")


if __name__ == "__main__":
    run(main)
