"""What a plan says about a training with an adapter, and how many steps that makes."""

import math
from dataclasses import dataclass

from recipes.common.model.loading import DEVICES, DTYPES
from recipes.common.stage.settings import check_above, check_choice, check_least


@dataclass(frozen=True)
class Hyper:
    """The same for each of TRL's trainers."""

    device: str
    """cuda: one GPU; or cpu."""
    dtype: str
    """Of the base's weights and of computation; the adapter is float32."""
    nf4: bool
    """Whether the base's linear layers are in 4 bits (QLoRA)."""
    lora_rank: int
    lora_alpha: int
    lora_dropout: float
    epochs: float
    batch: int
    """Rows in memory at a time."""
    accumulate: int
    """Batches a step."""
    lr: float
    warmup: float
    """Share of the steps; at least one step comes after it."""
    grad_clip: float
    optimizer: str
    """transformers' name: paged_adamw_8bit, adamw_torch, ..."""
    recompute: bool
    """Whether activations are computed again in the backward pass instead of kept."""
    max_length: int
    """Tokens; longer rows are cut."""
    save_every: int
    keep_last: int
    seed: int

    def __post_init__(self) -> None:
        check_choice(self, "device", DEVICES)
        check_choice(self, "dtype", DTYPES)
        check_least(self, 1, "lora_rank", "lora_alpha", "batch", "accumulate", "max_length", "save_every", "keep_last")
        check_above(self, 0, "epochs", "lr", "grad_clip")
        for name in ("warmup", "lora_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` is `{getattr(self, name)}`, not a number from 0 to below 1")
        if self.device == "cpu" and self.dtype != "float32":
            raise ValueError(f"`dtype` is `{self.dtype}`; on a CPU it is `float32`")
        if self.device == "cpu" and self.optimizer.startswith("paged"):
            raise ValueError(f"`optimizer` is `{self.optimizer}`, which needs a GPU; on a CPU take `adamw_torch`")

    def schedule(self, rows: int) -> "Schedule":
        """The steps of a training on so many rows."""
        return schedule(rows, self.batch, self.accumulate, self.epochs, self.warmup, self.save_every)


@dataclass(frozen=True)
class Schedule:
    """How many steps a training has."""

    steps: int
    warmup: int
    """Always fewer than the steps."""
    save_every: int


def schedule(rows: int, batch: int, accumulate: int, epochs: float, warmup: float, save_every: int) -> Schedule:
    """As the trainer counts: a step is `accumulate` batches, the last of an epoch may be smaller."""
    each = math.ceil(math.ceil(rows / batch) / accumulate)
    steps = math.ceil(each * epochs)
    return Schedule(steps, min(math.ceil(warmup * steps), steps - 1), save_every)
