"""What is in a folder's weight files, and how bytes of a file change."""

import io
import zipfile
import zlib
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


def resaved(content: bytes, old: bytes, new: bytes) -> bytes:
    """What `torch.save` wrote, as it would write it with `new` for `old` in one tensor: the checksum fits."""
    assert content.count(old) == 1
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry = next(it for it in archive.infolist() if old in archive.read(it))
        crc = zlib.crc32(archive.read(entry).replace(old, new))
    return content.replace(old, new).replace(entry.CRC.to_bytes(4, "little"), crc.to_bytes(4, "little"))
