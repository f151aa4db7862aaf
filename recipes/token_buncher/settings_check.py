"""Looks at a stage's settings before anything is paid: no torch, no verl.

python -m recipes.token_buncher.settings_check train|evaluate SETTINGS.json
"""

import argparse
from pathlib import Path

from recipes.common.settings import read_settings
from recipes.common.stage import run
from recipes.common.verl.keys import check_overrides
from recipes.token_buncher import evaluate
from recipes.token_buncher.decided import DECIDED
from recipes.token_buncher.schedule import is_noiser
from recipes.token_buncher.settings import Settings


def main() -> None:
    """Exits with 2 and a sentence when a value cannot be, or verl would not read an override."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.token_buncher.settings_check", description=__doc__.split("\n")[0]
    )
    parser.add_argument("stage", choices=("train", "evaluate"))
    parser.add_argument("settings", type=Path)
    given = parser.parse_args()
    if given.stage == "evaluate":
        print(f"evaluate: at most {read_settings(given.settings, evaluate.Settings).questions} questions a task")
        return
    settings = read_settings(given.settings, Settings)
    check_overrides(settings.verl_overrides, DECIDED)
    noisers = sum(is_noiser(step, settings.warmup) for step in range(1, settings.steps + 1))
    mixed = f", {noisers:,} of them the noiser's" if settings.mode == "defend" else ""
    print(f"{settings.mode}: {settings.steps:,} steps{mixed}")


if __name__ == "__main__":
    run(main)
