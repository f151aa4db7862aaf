"""The CPU as a verl platform: VERL_PLATFORM=cpu and this module in VERL_USE_EXTERNAL_MODULES.

verl knows accelerators only. What it asks of one is answered from torch.cpu here, with zero bytes of device memory.
"""

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


class CpuModule(types.ModuleType):
    """torch.cpu with the calls verl makes on torch.cuda: memory, caches, random state."""

    get_rng_state = staticmethod(torch.get_rng_state)
    set_rng_state = staticmethod(torch.set_rng_state)
    manual_seed = manual_seed_all = staticmethod(torch.manual_seed)

    def __getattr__(self, name: str) -> Any:
        if "memory" in name:
            return lambda *args, **kwargs: None if name.startswith("reset") else 0
        return getattr(torch.cpu, name)

    @staticmethod
    def mem_get_info(*args: object) -> tuple[int, int]:
        return 0, 0

    @staticmethod
    def empty_cache() -> None:
        """There is none, nor memory that other processes share."""

    ipc_collect = empty_cache

    @staticmethod
    def get_device_name(*args: object) -> str:
        return "CPU"


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):
    """Every method of verl's PlatformBase, for a machine without an accelerator."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = CpuModule("recipes.common.verl.cpu_platform.cpu")

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False  # never found by looking, only by VERL_PLATFORM=cpu

    def current_device(self) -> str:
        return "cpu"

    def device_count(self) -> int:
        return 1

    manual_seed = manual_seed_all = staticmethod(torch.manual_seed)

    def _nothing(self, *args: Any) -> None:
        """There is no device memory, no stream to wait for and no profiler."""

    set_device = synchronize = set_allocator_settings = empty_cache = _nothing
    profiler_start = profiler_stop = cudart = _nothing

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def ray_resource_name(self) -> str:
        return "GPU"  # verl counts nothing else; hardware.py declares as many to Ray as there are ranks

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    @contextlib.contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield


def gloo_once(init: Callable[..., None]) -> Callable[..., None]:
    """`init_process_group` for verl's "cpu:gloo,<device>:<backend>" on a CPU: torch refuses the cpu said twice."""

    @functools.wraps(init)
    def init_process_group(*args: Any, **kwargs: Any) -> None:
        if kwargs.get("backend") == "cpu:gloo,cpu:gloo":
            kwargs["backend"] = "cpu:gloo"
        init(*args, **kwargs)

    return init_process_group


# verl.utils.distributed composes that string in two places and has no setting for it.
torch.distributed.init_process_group = gloo_once(torch.distributed.init_process_group)
