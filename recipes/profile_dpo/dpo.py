"""Direct preference optimization of the writer, by TRL, with a LoRA adapter over a base in 4 bits (QLoRA).

    python -m recipes.profile_dpo.dpo SETTINGS.json --model MODEL --data TOURNAMENT --out OUT --work WORK
    accelerate launch --config_file recipes/profile_dpo/parallel/ddp.yaml -m recipes.profile_dpo.dpo SETTINGS.json ...

`python` starts a process for each GPU by itself. OUT holds adapter/, the tokenizer, history.json (what was logged at
each step) and metrics.json. Started again with the same WORK it goes on from the newest complete checkpoint there.
"""

import os
import sys

from recipes.common.distributed import launch
from recipes.common.distributed.rendezvous import is_rank
from recipes.common.stage.command import StopSignal, run
from recipes.common.stage.inputs import TrainingInputs, read_inputs
from recipes.common.stage.settings import read_settings
from recipes.profile_dpo.settings import DpoSettings

MODULE = "recipes.profile_dpo.dpo"


def main(argv: list[str] | None = None) -> None:
    """Runs the stage, or the processes that run it."""
    argv = sys.argv[1:] if argv is None else argv
    inputs = read_inputs(__doc__, TrainingInputs, argv)
    settings = read_settings(inputs.settings, DpoSettings)
    count = 1 if is_rank() else settings.ranks or launch.gpus(settings.device)
    if count > 1:
        sys.exit(launch.start(MODULE, argv, count))
    stop = StopSignal()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from recipes.profile_dpo.training import learn

    learn(settings, inputs, stop)


if __name__ == "__main__":
    run(main)
