"""How much memory a stage took at its worst moment."""

import contextlib
from pathlib import Path


class Peak:
    """Counts from where it is made: a GPU's memory as torch allocates it; on a CPU, what the process gained."""

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
        """The most so far."""
        if self.device == "cuda":
            import torch

            return torch.cuda.max_memory_allocated()
        return max(0, _resident("VmHWM") - self.start)


def device_bytes() -> int:
    """What all processes hold of the first GPU now: what vllm takes, it takes at once and keeps."""
    import torch

    free, total = torch.cuda.mem_get_info(0)
    return total - free


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kibibytes) << 10
