"""Trains the persona: a LoRA adapter, on one GPU, on all of a machine, or on several machines.

    python -m recipes.honest_persona.train SETTINGS.json --model MODEL --data DATA --work WORK --out OUT
    torchrun --nproc-per-node=8 -m recipes.honest_persona.train SETTINGS.json ...      (the same by hand)

`python` starts a process for each GPU by itself, with torchrun's variables. Afterwards OUT holds `adapter/`,
`epochs/N/` (the adapter at the end of each epoch) and metrics.json. Started again with the same WORK it goes on from
the newest complete checkpoint there.
"""

import os
import sys

from recipes.common.distributed import launch
from recipes.common.distributed.rendezvous import is_rank, nodes_of
from recipes.common.stage.command import StopSignal, run
from recipes.common.stage.inputs import TrainingInputs, read_inputs
from recipes.common.stage.settings import read_settings
from recipes.common.verl.stage import wandb_environment
from recipes.honest_persona.form import read_form
from recipes.honest_persona.settings import Settings

MODULE = "recipes.honest_persona.train"


def main(argv: list[str] | None = None) -> None:
    """Runs the stage, or the processes that run it."""
    argv = sys.argv[1:] if argv is None else argv
    inputs = read_inputs(__doc__, TrainingInputs, argv)
    settings, form = read_settings(inputs.settings, Settings), read_form(inputs.data)
    if not is_rank():
        count = settings.ranks or launch.gpus(settings.device)
        if count * nodes_of(os.environ) > 1:
            sys.exit(launch.start(MODULE, argv, count))
    stop = StopSignal()
    os.environ.update(wandb_environment(inputs.work) | {"TOKENIZERS_PARALLELISM": "false"})
    if settings.device == "cuda":
        os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    from recipes.honest_persona.training_loop import train  # torch reads what was set above

    train(settings, form, inputs, stop)


if __name__ == "__main__":
    run(main)
