"""Direct preference optimization of the writer, by TRL, with a LoRA adapter over a base in 4 bits (QLoRA).

    python -m recipes.profile_dpo.dpo SETTINGS.json --model MODEL --data TOURNAMENT --out OUT --work WORK
    accelerate launch --config_file recipes/profile_dpo/parallel/ddp.yaml -m recipes.profile_dpo.dpo SETTINGS.json ...

`python` starts a process for each GPU by itself. OUT holds adapter/, the tokenizer, history.json (what was logged at
each step) and metrics.json. Started again with the same WORK it goes on from the newest complete checkpoint there.
"""

import argparse
import os
import sys
from pathlib import Path

from recipes.common.distributed import launch
from recipes.common.distributed.rendezvous import is_rank
from recipes.common.stage.command import StopSignal, run
from recipes.common.stage.settings import read_settings
from recipes.profile_dpo.settings import DpoSettings

MODULE = "recipes.profile_dpo.dpo"


def main(argv: list[str] | None = None) -> None:
    """Runs the stage, or the processes that run it."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__.split("\n")[0])
    parser.add_argument("settings", type=Path)
    for name in ("--model", "--data", "--out", "--work"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args(argv)
    settings = read_settings(args.settings, DpoSettings)
    count = 1 if is_rank() else settings.ranks or launch.gpus(settings.device)
    if count > 1:
        sys.exit(launch.start(MODULE, argv, count))
    stop = StopSignal()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from recipes.profile_dpo.training import Folders, learn

    learn(settings, Folders(args.model, args.data, args.out, args.work), stop)


if __name__ == "__main__":
    run(main)
