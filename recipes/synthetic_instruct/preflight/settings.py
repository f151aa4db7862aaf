"""Checks the settings of the stages before anything is paid. Nothing heavy is imported.

python -m recipes.synthetic_instruct.preflight.settings REQUEST.json
"""

from functools import partial

from recipes.common.preflight.settings import check_stages
from recipes.common.stage.command import run
from recipes.synthetic_instruct import evaluate, filter, generate, prefer, push, respond
from recipes.synthetic_instruct.settings import DpoSettings, FullSettings, LoraSettings, MergeSettings, PromptSettings

KINDS = {
    "generate": generate.Settings,
    "filter": filter.Settings,
    "respond": respond.Settings,
    "prefer": prefer.Settings,
    "sft": LoraSettings,
    "sft_full": FullSettings,
    "prompt": PromptSettings,
    "sft_model": MergeSettings,
    "dpo": DpoSettings,
    "dpo_model": MergeSettings,
    "evaluate": evaluate.Settings,
    "push": push.Settings,
}

main = partial(check_stages, __doc__, KINDS)
"""Exits with 2 and an error message if a value is invalid."""

if __name__ == "__main__":
    run(main)
