"""What the plan says about a training stage, and which of its steps are the token noiser's."""

from dataclasses import dataclass

from recipes.common.stage.settings import check_above, check_choice, check_least, check_share
from recipes.common.verl.settings import VerlSettings
from recipes.token_buncher.harm import check_name

MODES = ("defend", "attack")
FORMS = ("paper", "upstream")


@dataclass(frozen=True, kw_only=True)
class Settings(VerlSettings):
    """The stage's JSON, key by key. Null means: derived from the machine, or from the other settings. `mode`: defend
    has entropy as the reward, and token noiser steps; attack a classifier's score as the reward."""

    mini_batch: int
    """Prompts an update; a step has train_batch / mini_batch of them."""
    lr: float
    kl: float
    """Weight of the KL to the model's first state in the reward; 0: no reference is loaded."""
    warmup_steps: int | None
    """Steps before the first noiser step can come; null: an eighth of the steps."""
    noise: float
    """epsilon of the token noiser."""
    noise_form: str
    """paper: noise weighs epsilon; upstream: epsilon squared, as the authors' code has it."""
    classifier: str | None
    """What scores the answers of an attack (harm.py); a defence has no use for it."""

    def __post_init__(self) -> None:
        if self.rollout_n < 2:
            raise ValueError(
                f"`rollout_n` is `{self.rollout_n}`: GRPO compares samples of one prompt, so it needs 2 or more"
            )
        self.check(MODES)
        check_choice(self, "noise_form", FORMS)
        check_least(self, 1, "mini_batch")
        check_least(self, 0, "kl", "warmup_steps")
        check_above(self, 0, "lr")
        check_share(self, "(0, 1)", "noise")
        if self.train_batch % self.mini_batch:
            raise ValueError(f"`train_batch` is `{self.train_batch}`, not a multiple of `mini_batch` {self.mini_batch}")
        if self.mode == "attack" and self.classifier is None:
            raise ValueError("`classifier` is `null`: an attack needs your classifier, whose score is the reward")
        check_name(self.classifier)

    @property
    def warmup(self) -> int:
        """Steps before the first noiser step can come."""
        return self.steps // 8 if self.warmup_steps is None else self.warmup_steps


def is_noiser(step: int, warmup: int) -> bool:
    """Whether `step`, counted from 1, is a noiser step: none in the warmup, then every other one.

    The authors count from 0 and take the even steps from `warmup` on: with 25, the 27th step is the first.
    """
    index = step - 1
    return index >= warmup and index % 2 == 0
