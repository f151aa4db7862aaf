"""The folder of a checkpoint: the state from which the training continues, and the adapters of the epochs so far.

global_step_103/
  adapter/      as peft saves it, with persona.json and args.json
  optimizer/    Adam's moments
  epochs/1/ ... the adapter at the end of each epoch so far

Whole tensors, whatever the ranks share: every rank takes part in saving, rank 0 writes.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor, distribute_tensor

from recipes.common.distributed.ranks import Ranks
from recipes.common.stage.command import StageError
from recipes.common.stage.files import link_or_copy, write_json
from recipes.honest_persona.adapter import adapter_parameters
from recipes.honest_persona.form import Form, write_form

ROLES = ("adapter", "optimizer")
"""The state from which the training continues."""


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
            shutil.copytree(last / "epochs", folder / "epochs", copy_function=link_or_copy, dirs_exist_ok=True)
    save_adapter(parts.model, parts.config, parts.form, parts.args, folder / "adapter", ranks)
    save_optimizer(parts.model, parts.optimizer, folder / "optimizer", ranks)
    if ranks.main and epoch is not None:
        shutil.copytree(folder / "adapter", folder / "epochs" / str(epoch), copy_function=link_or_copy)


ADAPTER, OPTIMIZER, ARGS = "adapter_model.safetensors", "optimizer.safetensors", "args.json"
MOMENTS = ("exp_avg", "exp_avg_sq")


def save_adapter(model: Any, config: Any, form: Form, args: dict[str, Any], folder: Path, ranks: Ranks) -> None:
    """`folder` (which rank 0 finds empty) holds the adapter, its peft configuration, the form and what it was trained
    with; peft and `get_model` load it."""
    tensors = {name: full_tensor(parameter) for name, parameter in adapter_parameters(model).items()}
    if ranks.main:
        save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})
        config.save_pretrained(folder)
        config_json = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        # peft writes the path on this machine
        write_json(folder / "adapter_config.json", config_json | {"base_model_name_or_path": args["base"]["repo"]})
        write_json(folder / ARGS, args)
        write_form(form, folder)


def save_optimizer(model: Any, optimizer: torch.optim.Optimizer, folder: Path, ranks: Ranks) -> None:
    """`folder` holds the moments of every trained parameter, by its name in the adapter."""
    tensors = {}
    for name, parameter in adapter_parameters(model).items():
        for moment in MOMENTS:
            tensors[f"{name}.{moment}"] = full_tensor(optimizer.state[parameter][moment])
    if ranks.main:
        save_file(tensors, folder / OPTIMIZER)


def load(model: Any, optimizer: torch.optim.Optimizer, folder: Path, step: int) -> None:
    """Model and optimizer are as they were after `step`, when they were saved to `folder`."""
    adapter, moments = load_file(folder / "adapter" / ADAPTER), load_file(folder / "optimizer" / OPTIMIZER)
    known = adapter_parameters(model)
    if adapter.keys() != known.keys():
        raise StageError(
            f"`{folder}` holds an adapter for other weights than this model's",
            "start again with an empty work folder",
        )
    for name, parameter in known.items():
        with torch.no_grad():
            parameter.copy_(_like(adapter[name], parameter))
        count = torch.tensor(float(step), device=parameter.device if optimizer.defaults["fused"] else "cpu")
        optimizer.state[parameter] = {"step": count} | {
            moment: _like(moments[f"{name}.{moment}"], parameter) for moment in MOMENTS
        }


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor that may be shared among ranks, on the CPU."""
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu().contiguous()


def _like(tensor: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The whole tensor, shared among ranks as `other` is; every rank has it, so nothing is sent."""
    tensor = tensor.to(other.device)
    if isinstance(other, DTensor):
        return distribute_tensor(tensor, other.device_mesh, other.placements, src_data_rank=None)
    return tensor
