"""A checkpoint's folder: what the training goes on from, and the adapters of the epochs before, which travel along.

global_step_103/
  adapter/      as peft saves it, with persona.json and args.json
  optimizer/    Adam's moments
  epochs/1/ ... the adapter at the end of each epoch so far
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipes.common.distributed.ranks import Ranks
from recipes.honest_persona import state
from recipes.honest_persona.form import Form

ROLES = ("adapter", "optimizer")
"""What the training goes on from."""


@dataclass(frozen=True)
class Parts:
    """What is saved."""

    model: Any
    optimizer: torch.optim.Optimizer
    config: Any
    """peft's."""
    form: Form
    args: dict[str, Any]


def save(parts: Parts, folder: Path, last: Path | None, epoch: int | None, ranks: Ranks) -> None:
    """`folder` holds all of it, without a marker yet; every rank takes part, rank 0 writes.

    `last`: the checkpoint before, whose epochs come along; `epoch`: the one that is over, if one is.
    """
    if ranks.main:
        shutil.rmtree(folder, ignore_errors=True)
        for name in (*ROLES, "epochs"):
            (folder / name).mkdir(parents=True)
        if last:
            shutil.copytree(last / "epochs", folder / "epochs", copy_function=link, dirs_exist_ok=True)
    state.save_adapter(parts.model, parts.config, parts.form, parts.args, folder / "adapter", ranks)
    state.save_optimizer(parts.model, parts.optimizer, folder / "optimizer", ranks)
    if ranks.main and epoch is not None:
        shutil.copytree(folder / "adapter", folder / "epochs" / str(epoch), copy_function=link)


def link(source: str, target: str) -> None:
    """The same file under another name, or a copy where the file system has no such links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
