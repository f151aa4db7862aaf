"""verl's FSDP2 engines for the device "cpu". (FSDP1 refuses CPU parameters: sync_module_states.)

Imported by workers.py where training runs on a CPU, not by every process: it pulls in all of verl's training code.
"""

from typing import Any

import torch
import verl.utils.model
from transformers import AutoModelForTokenClassification
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead


class Unpinned:
    """A forward-only engine (the reference policy) is built without CPUOffloadPolicy(pin_memory=True)."""

    def _build_fsdp_module(self, module: torch.nn.Module) -> torch.nn.Module:
        config = self.engine_config
        forward_only = config.forward_only
        # The dataclass is frozen after its first assignment.
        object.__setattr__(config, "forward_only", False)
        try:
            return super()._build_fsdp_module(module)
        finally:
            object.__setattr__(config, "forward_only", forward_only)


@EngineRegistry.register(model_type="language_model", backend="fsdp2", device="cpu")
class CpuLanguageModel(Unpinned, FSDPEngineWithLMHead):
    """The actor and the reference policy."""


@EngineRegistry.register(model_type="value_model", backend="fsdp2", device="cpu")
class CpuValueModel(Unpinned, FSDPEngineWithValueHead):
    """The critic."""


def load_valuehead_model(
    local_path: str, torch_dtype: torch.dtype, model_config: Any, trust_remote_code: bool
) -> torch.nn.Module:
    """verl's function of this name with another attention: there, flash attention is written into the code."""
    return AutoModelForTokenClassification.from_pretrained(
        local_path,
        dtype=torch_dtype,
        config=model_config,
        attn_implementation="sdpa",
        trust_remote_code=trust_remote_code,
    )


verl.utils.model.load_valuehead_model = load_valuehead_model
