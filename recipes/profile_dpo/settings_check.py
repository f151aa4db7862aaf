"""Looks at a stage's settings before anything is paid: nothing heavy is imported.

python -m recipes.profile_dpo.settings_check STAGE SETTINGS.json
"""

from recipes.common.settings import check_stage
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
    stage = check_stage("python -m recipes.profile_dpo.settings_check", __doc__.split("\n")[0], KINDS)
    print(f"{stage}: fine")


if __name__ == "__main__":
    run(main)
