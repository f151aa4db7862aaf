"""What is in a folder's weight files."""

from pathlib import Path
from typing import Any


def written(folder: Path) -> dict[str, Any]:
    """Shape, type and bits of each tensor of the safetensors files."""
    import torch
    from safetensors.torch import load_file

    return {
        name: (tuple(value.shape), value.dtype, value.view(torch.uint8).tolist())
        for file in sorted(folder.glob("*.safetensors"))
        for name, value in load_file(file).items()
    }
