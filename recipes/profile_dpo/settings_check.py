"""Looks at a stage's settings before anything is paid: nothing heavy is imported.

python -m recipes.profile_dpo.settings_check STAGE SETTINGS.json
"""

import argparse
from pathlib import Path

from recipes.common.settings import read_settings
from recipes.common.stage import run
from recipes.profile_dpo import current, generate, setup, tournament, write
from recipes.profile_dpo.judging import JudgeSettings
from recipes.profile_dpo.settings import DpoSettings, MergeSettings

KINDS = {
    "setup": setup.Settings,
    "write": write.Settings,
    "generate": generate.Settings,
    "tournament": tournament.Settings,
    "dpo": DpoSettings,
    "merge": MergeSettings,
    "evaluate": JudgeSettings,
    "current": current.Settings,
}


def main() -> None:
    """Exits with 2 and a sentence when a value cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.profile_dpo.settings_check", description=__doc__.split("\n")[0]
    )
    parser.add_argument("stage", choices=KINDS)
    parser.add_argument("settings", type=Path)
    given = parser.parse_args()
    read_settings(given.settings, KINDS[given.stage])
    print(f"{given.stage}: fine")


if __name__ == "__main__":
    run(main)
