"""A causal language model from a folder, in the precision that a stage's settings name, and a stage's memory use."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.common.stage.command import Mistake

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DEVICES = ("cuda", "cpu")
DTYPES = ("bfloat16", "float16", "float32")


def load_model(folder: Path, device: str, dtype: str, nf4: bool) -> "PreTrainedModel":
    """The model on `device`; with `nf4`, its linear layers in 4 bits (double quantization), computing in `dtype`."""
    import torch
    from transformers import AutoModelForCausalLM

    take_device(device)
    return AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        device_map={"": device},
        quantization_config=four_bits(dtype) if nf4 else None,
        local_files_only=True,
        trust_remote_code=False,
    )


def take_device(device: str) -> None:
    """Prepares `device`: a CPU uses one thread, because a rehearsal's models are too small for more. A Mistake when
    there is no such device."""
    import torch

    if device == "cpu":
        torch.set_num_threads(1)
    elif not torch.cuda.is_available():
        raise Mistake("`device` is `cuda`, and no GPU is visible", "check `nvidia-smi`")


def four_bits(dtype: str) -> Any:
    """QLoRA's nf4 with double quantization, computing in `dtype`."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )


class Peak:
    """The largest memory use since this object was made: what torch allocated on a GPU, what the process gained on a
    CPU."""

    def __init__(self, device: str):
        self.device = device
        if device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
            return
        with contextlib.suppress(OSError):  # where it may, Linux forgets the highest size so far and begins anew
            Path("/proc/self/clear_refs").write_text("5")
        self.start = _resident("VmRSS")

    def bytes(self) -> int:
        """The largest use so far."""
        if self.device == "cuda":
            import torch

            return torch.cuda.max_memory_allocated()
        return max(0, _resident("VmHWM") - self.start)


def device_bytes() -> int:
    """The memory of the first GPU that all processes use now. vllm takes its memory at once and keeps it."""
    import torch

    free, total = torch.cuda.mem_get_info(0)
    return total - free


def children_bytes() -> int:
    """The resident memory of all processes that this one started: on a CPU vllm computes in one of them."""
    import psutil

    return sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kibibytes) << 10
