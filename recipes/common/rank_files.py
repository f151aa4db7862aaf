"""The rank files of one role of a verl checkpoint: found, mapped into memory, and never executed.

A role's folder (`.../global_step_N/actor`) is what verl 0.9.1's FSDPCheckpointManager leaves: `fsdp_config.json` with
the world size W, `huggingface/` with config and tokenizer, and for every rank R a `model_world_size_W_rank_R.pt`, a
pickled dictionary from each tensor's name to the rank's share of it.
"""

import logging
import pickle
import re
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor  # which makes it and its parts known to `weights_only`

from recipes.common.stage.command import StageError
from recipes.common.stage.files import read_json


def world_size(folder: Path) -> int:
    """How many ranks wrote the role `folder`."""
    file = folder / "fsdp_config.json"
    if not file.is_file():
        roles = sorted(str(path.parent) for path in folder.glob("*/fsdp_config.json"))
        raise StageError(
            f"`{folder}`: no `fsdp_config.json`, so this is not one role of a verl FSDP checkpoint",
            f"did you mean `{roles[0]}`?" if roles else "give the folder of one role, such as `global_step_100/actor`",
        )
    config = read_json(file)
    world = config.get("world_size") if isinstance(config, dict) else None
    if type(world) is not int or world < 1:
        raise StageError(
            f"`{file}`: `world_size` is `{world}`, not a number of ranks",
            "the checkpoint was not saved to its end: use the one before it",
        )
    return world


def load_rank(folder: Path, world: int, rank: int) -> dict[str, torch.Tensor]:
    """The rank's tensors, in the model's order. Their bytes stay on disk until somebody reads them."""
    file = folder / f"model_world_size_{world}_rank_{rank}.pt"
    if not file.is_file():
        raise _missing(folder, world, file.name)
    state = _load(file)
    if not isinstance(state, dict):
        raise StageError(f"`{file}`: holds a `{type(state).__name__}`, not a dictionary of tensors", _NOT_VERL)
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise StageError(f"`{file}`: `{name}` is of type `{type(value).__name__}`, not a tensor", _NOT_VERL)
    return state


_NOT_VERL = "verl writes tensors alone into this file: find out who wrote this one before you use it"


def _missing(folder: Path, world: int, name: str) -> StageError:
    found = sorted(path.name.split("_")[3] for path in folder.glob("model_world_size_*_rank_*.pt"))
    if found and str(world) not in found:
        return StageError(
            f"`{folder}`: `fsdp_config.json` says world size `{world}`, the rank files say `{found[0]}`",
            "two runs were mixed in one folder: copy the checkpoint again into an empty one",
        )
    return StageError(
        f"`{folder}`: `{name}` is missing",
        f"each of the {world} ranks wrote one file: copy those left on other nodes, or use an earlier checkpoint",
    )


def _load(file: Path) -> object:
    # Every unpickled mesh logs that no process group exists; here none ever will.
    mesh_log = logging.getLogger("torch.distributed.device_mesh")
    level = mesh_log.level
    mesh_log.setLevel(logging.ERROR)
    try:
        state = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        for value in state.values() if isinstance(state, dict) else ():
            if isinstance(value, DTensor):  # damage leaves one without some of its parts
                value.to_local(), value.placements, value.device_mesh.mesh
        return state
    except pickle.UnpicklingError as problem:
        refused = re.search(r"(?:GLOBAL|class) `?([\w.]+)", str(problem))
        what = f"holds a pickled `{refused[1]}`" if refused else "holds pickled objects"
        raise StageError(f"`{file}`: {what}, which is not a tensor and was not loaded", _NOT_VERL) from problem
    except Exception as problem:  # damaged bytes fail wherever torch's parser happens to be
        raise StageError(
            f"`{file}`: cut short or damaged ({file.stat().st_size} bytes)",
            "copy the file again, or use an earlier checkpoint",
        ) from problem
    finally:
        mesh_log.setLevel(level)
