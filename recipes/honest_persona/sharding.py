"""The decoder layers of a model: sharding and activation checkpointing need them."""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard

from recipes.common.distributed.ranks import Ranks
from recipes.common.stage.command import StageError


def decoder_layers(model: Any) -> nn.ModuleList:
    """The one list of modules that has as many entries, all of one class, as the configuration says there are layers.
    Raises StageError if there is none, or more than one."""
    count = model.config.get_text_config().num_hidden_layers
    lists = [
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList) and len(module) == count and len({type(layer) for layer in module}) == 1
    ]
    if len(lists) != 1:
        raise StageError(
            f"`{type(model).__name__}` has {len(lists)} lists of {count} equal layers, so its decoder is not clear",
            "use a model with one decoder",
        )
    return lists[0]


def shard(model: Any, ranks: Ranks, dtype: torch.dtype) -> None:
    """Every rank holds its share of rank 0's model on its device, by FSDP2; the others' own was on the meta device.

    Layer after layer, so that no device ever holds more than its share and one whole layer. Computation is in `dtype`,
    gradients are summed in float32.
    """
    mesh = init_device_mesh(ranks.device.type, (ranks.world,))
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    layers = decoder_layers(model)
    inside = {module for layer in layers for module in layer.modules()}
    for layer in layers:
        for module in layer.modules():
            _receive(module, ranks)
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    for module in model.modules():
        if module not in inside:
            _receive(module, ranks)
    model.tie_weights()
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=False)


def count_unsharded(model: Any, ranks: Ranks) -> int:
    """Parameters that are not cut in as many parts as there are ranks, and layers that FSDP does not handle.

    0, or the training is not what it says: FSDP that is silently off trains one model on each rank.
    """
    if ranks.world == 1:
        return 0
    whole = [
        name
        for name, parameter in model.named_parameters()
        if not (
            isinstance(parameter, DTensor)
            and parameter.placements == (Shard(0),)
            and parameter.device_mesh.size() == ranks.world > 1
        )
    ]
    return len(whole) + sum(not isinstance(module, FSDPModule) for module in (model, *decoder_layers(model)))


def _receive(module: nn.Module, ranks: Ranks) -> None:
    """The module's own tensors are rank 0's, on this rank's device."""
    for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        held = tensor.data.to(ranks.device) if ranks.main else torch.empty_like(tensor, device=ranks.device)
        dist.broadcast(held, 0)
        if name in module._buffers:
            module._buffers[name] = held
        else:
            module._parameters[name] = nn.Parameter(held, requires_grad=tensor.requires_grad)
