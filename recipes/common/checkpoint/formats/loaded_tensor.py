"""A tensor that a library reads as a whole: it is in memory from its first stretch until others have been read."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

KEPT = 2
"""Tensors in memory: two, so that two that should be equal can be compared stretch by stretch."""


@dataclass
class Loader:
    """Reads tensors by name, and keeps the last few."""

    load: Callable[[str], torch.Tensor]
    """The whole tensor of that name, in its shape and type."""
    kept: OrderedDict[str, torch.Tensor] = field(default_factory=OrderedDict)

    def flat(self, name: str) -> torch.Tensor:
        if name not in self.kept:
            while len(self.kept) >= KEPT:
                self.kept.popitem(last=False)
            self.kept[name] = self.load(name).contiguous().view(-1)
        self.kept.move_to_end(name)
        return self.kept[name]


@dataclass(frozen=True)
class LoadedTensor:
    """The tensor `name` of the checkpoint in `folder`."""

    folder: str
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    loader: Loader

    @property
    def numel(self) -> int:
        return torch.Size(self.shape).numel()

    def read(self, start: int, out: torch.Tensor) -> None:
        """`out` (one dimension, contiguous) holds the flattened elements from `start` on, cast to its own type."""
        out.copy_(self.loader.flat(self.name)[start : start + len(out)])

    def fetch_soon(self, start: int, stop: int) -> None:
        """Does nothing: the library reads when it is asked to."""
