"""Checks the settings of the stages before anything is paid. Nothing heavy is imported.

python -m recipes.profile_dpo.preflight.settings REQUEST.json
"""

from functools import partial

from recipes.common.checkpoint.merge import MergeSettings
from recipes.common.preflight.settings import check_stages
from recipes.common.stage.command import run
from recipes.profile_dpo import authors, gate, generate, tournament, write
from recipes.profile_dpo.judge.types import JudgeSettings
from recipes.profile_dpo.settings import DpoSettings

KINDS = {
    "setup": authors.Settings,
    "write": write.Settings,
    "generate": generate.Settings,
    "tournament": tournament.Settings,
    "dpo": DpoSettings,
    "merge": MergeSettings,
    "evaluate": JudgeSettings,
    "current": gate.Settings,
}

main = partial(check_stages, __doc__, KINDS)
"""Exits with 2 and an error message if a value is invalid."""

if __name__ == "__main__":
    run(main)
