"""The group of processes that train together; a single process is a group too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from recipes.common.distributed.rendezvous import is_rank
from recipes.common.stage.command import Mistake


@dataclass(frozen=True)
class Ranks:
    """This process and its group."""

    rank: int
    world: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def sum(self, value: float) -> float:
        """The sum of every rank's value."""
        if self.world == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total)

    def any(self, value: bool) -> bool:
        """Whether it is true on at least one rank."""
        return self.sum(float(value)) > 0

    def gather(self, values: list[Any]) -> list[Any]:
        """Every rank's values, rank after rank, on all of them."""
        if self.world == 1:
            return values
        parts: list[Any] = [None] * self.world
        dist.all_gather_object(parts, values)
        return [value for part in parts for value in part]

    def wait(self) -> None:
        """Returns when every rank has called it."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def join_group(kind: str) -> Iterator[Ranks]:
    """This process is part of the group that torchrun's variables name, or is alone where there are none.

    `kind`: cuda (with nccl) or cpu (with gloo).
    """
    local, several = int(os.environ.get("LOCAL_RANK", 0)), is_rank() and int(os.environ["WORLD_SIZE"]) > 1
    if kind == "cuda":
        if torch.cuda.device_count() <= local:
            raise Mistake(
                f"`device` is `cuda`, and {torch.cuda.device_count()} GPUs are visible to rank {local} of this machine",
                "check `nvidia-smi`",
            )
        torch.cuda.set_device(local)
    else:
        # Ranks do not fight for cores, and sums come out the same every time.
        torch.set_num_threads(1)
    device = torch.device(kind, local) if kind == "cuda" else torch.device(kind)
    if not several:
        yield Ranks(0, 1, device)
        return
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), device)
        dist.barrier()
    finally:
        dist.destroy_process_group()
