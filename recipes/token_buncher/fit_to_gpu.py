"""The sizes of a run on the machine that it runs on."""

import math
from dataclasses import dataclass, replace
from typing import Any

from recipes.common.stage.command import Mistake
from recipes.common.verl.hardware import Hardware
from recipes.token_buncher.settings import Settings

LOGIT_BYTES = 12
"""Of each token and word of the vocabulary: logits in bf16, in float32 for the softmax, and their gradient."""

LOGIT_SHARE = 0.25
"""Of a GPU's memory, that logits may take; the rest is weights, activations and the rollout's."""


@dataclass(frozen=True)
class Gpu:
    """One of the machine's GPUs, which are all alike."""

    name: str
    memory: int
    """Bytes."""


def fill_sizes(settings: Settings, hardware: Hardware, gpu: Gpu | None, vocabulary: int) -> Settings:
    """The settings with every null that the machine decides filled in, and batches that its ranks can share.

    Tensor parallel 2 where the ranks are even in number; batches are rounded up. A Mistake where a value that the user
    gave does not fit.
    """
    world = hardware.world_size
    parallel = settings.rollout_tensor_parallel or (2 if world % 2 == 0 and hardware.rollout == "vllm" else 1)
    if world % parallel:
        raise Mistake(
            f"`rollout_tensor_parallel` is `{parallel}`, which does not divide the {world} training processes",
            f"make it a divisor of {world}, or null",
        )
    unit = world // math.gcd(world, settings.rollout_n)
    mini = math.ceil(settings.mini_batch / unit) * unit
    train = math.ceil(settings.train_batch / mini) * mini
    tokens = settings.tokens_per_gpu or tokens_for(settings.max_length, gpu, vocabulary)
    return replace(
        settings,
        rollout_tensor_parallel=parallel,
        mini_batch=mini,
        train_batch=train,
        tokens_per_gpu=tokens,
        ranks=hardware.ranks,
    )


def tokens_for(longest: int, gpu: Gpu | None, vocabulary: int) -> int:
    """Tokens in one forward and backward: what the logits' share of the GPU holds, and one sequence at least."""
    return max(longest, int(gpu.memory * LOGIT_SHARE / (LOGIT_BYTES * vocabulary)) if gpu else 0)


def size_line(settings: Settings, hardware: Hardware, gpu: Gpu | None) -> str:
    """The sizes in one line."""
    each = f"{hardware.ranks} x {gpu.name}, {gpu.memory / 1e9:.0f} GB each" if gpu else f"{hardware.ranks} x CPU"
    nodes = f"{hardware.nodes} nodes of " if hardware.nodes > 1 else ""
    names = ("rollout_tensor_parallel", "train_batch", "mini_batch", "rollout_n", "tokens_per_gpu")
    return f"{nodes}{each}: " + ", ".join(f"{name} {getattr(settings, name)}" for name in names)


def numbers(settings: Settings, hardware: Hardware) -> dict[str, Any]:
    """The sizes as metrics."""
    names = ("rollout_tensor_parallel", "train_batch", "mini_batch", "tokens_per_gpu")
    return {"world_size": hardware.world_size} | {name: getattr(settings, name) for name in names}


def first_gpu(hardware: Hardware) -> Gpu | None:
    """The first GPU that is visible; None on a CPU."""
    if hardware.device == "cpu":
        return None
    import torch

    properties = torch.cuda.get_device_properties(0)
    return Gpu(properties.name, properties.total_memory)
