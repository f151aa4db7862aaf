"""The settings of the training. Nothing heavy is imported here."""

from dataclasses import dataclass

from recipes.common.stage.settings import check_above, check_choice, check_least, check_share
from recipes.common.trl.hyperparameters import Hyper

PARALLEL = ("ddp", "zero2")


@dataclass(frozen=True)
class DpoSettings(Hyper):
    """The training: the stage's JSON, key by key. `batch` x `accumulate` rows are a step, on however many GPUs."""

    beta: float
    """How near the model stays to the reference, which is itself without the adapter."""
    length_share: float
    """The share of rows that sets the length; longer rows are left out. `max_length` is the most it may be."""
    ranks: int | None
    """GPUs; null: all of the machine."""
    parallel: str
    """With more than one: ddp, or DeepSpeed's zero2, which shares out the optimizer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "parallel", PARALLEL)
        check_above(self, 0, "beta")
        check_share(self, "(0, 1]", "length_share")
        check_least(self, 1, "ranks")
        if self.parallel == "zero2" and self.device == "cpu":
            raise ValueError("`parallel` is `zero2`, which needs GPUs; on a CPU use `ddp`")
