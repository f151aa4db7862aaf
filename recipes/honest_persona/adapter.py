"""The model with the persona's adapter: peft's LoRA on the seven projections of every decoder layer."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from recipes.common.distributed.ranks import Ranks

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def lora_config(rank: int, alpha: int | None, dropout: float) -> Any:
    """Rank-stabilised LoRA: scale alpha / sqrt(rank); `alpha` None is the rank."""
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=alpha or rank,
        lora_dropout=dropout,
        use_rslora=True,
        target_modules=TARGETS,
        task_type="CAUSAL_LM",
    )


def build(folder: Path, config: Any, seed: int, ranks: Ranks) -> Any:
    """The base of `folder` with a fresh adapter, in place: only the adapter's parameters (float32) learn.

    The base is bfloat16 on GPUs, float32 on CPUs, and lies on the CPU; on ranks other than 0 nothing is loaded and
    everything lies on the meta device.
    """
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    dtype = dtype_of(ranks)
    if ranks.main:
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=dtype)
    else:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=dtype)
    torch.manual_seed(seed)
    return get_peft_model(model, config).get_base_model()


def dtype_of(ranks: Ranks) -> torch.dtype:
    """What is computed in."""
    return torch.bfloat16 if ranks.device.type == "cuda" else torch.float32


def adapter_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The adapter's parameters, by the names they have in peft's files."""
    return {
        f"base_model.model.{name.replace('.default.', '.')}": parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


class LoraMask:
    """Where the adapter of a model acts: everywhere, until a mask is set."""

    def __init__(self, model: nn.Module):
        from peft.tuners.lora import LoraLayer

        self._mask: torch.Tensor | None = None
        self._hooks = [
            layer.register_forward_hook(self._apply)
            for module in model.modules()
            if isinstance(module, LoraLayer)
            for layer in module.lora_B.values()
        ]

    def set(self, mask: torch.Tensor | None) -> None:
        """From now on the adapter acts where `mask` (sequences, length) is 1; None: everywhere.

        It has to stay until the backward is done, which may compute activations again. Tokens that are generated after
        a prompt of that length get the adapter.
        """
        self._mask = mask

    def remove(self) -> None:
        """The adapter acts everywhere again, for good."""
        for hook in self._hooks:
            hook.remove()

    def _apply(self, _: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor | None:
        if self._mask is None or output.shape[1] != self._mask.shape[1]:
            return None
        return output * self._mask[..., None].to(output.dtype)
