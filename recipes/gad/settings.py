"""What the plan says about a training stage."""

from dataclasses import dataclass

from recipes.common.stage.settings import check_above, check_least
from recipes.common.verl.settings import VerlSettings

ROLES = {"warmup": ("actor", "critic"), "adversarial": ("actor", "critic"), "seqkd": ("actor",)}
"""The modes, and the networks each trains. The critic is the discriminator."""


@dataclass(frozen=True, kw_only=True)
class Settings(VerlSettings):
    """The stage's JSON, key by key. `mode`: warmup is SFT and the discriminator; adversarial is GRPO against it; seqkd
    is SFT alone. `steps` are rows * epochs // train_batch; a step is one mini batch."""

    val_batch: int
    rollout_tensor_parallel: int
    tokens_per_gpu: int
    temperature: float
    actor_lr: float
    critic_lr: float
    kl_loss: float
    """Weight of the k3 estimate of KL(actor, reference) in the adversarial loss."""
    entropy: float
    """Weight of the entropy bonus in the adversarial loss."""
    critic_warmup: int
    """Steps in which the discriminator trains alone."""
    validate_every: int

    def __post_init__(self) -> None:
        self.check(tuple(ROLES))
        check_least(self, 1, "val_batch", "validate_every")
        check_least(self, 0, "critic_warmup")
        check_above(self, 0, "temperature", "actor_lr", "critic_lr")
        if self.mode == "adversarial" and self.rollout_n < 2:
            raise ValueError("`rollout_n` is `1`: GRPO compares samples of one prompt, so it needs 2 or more")

    @property
    def roles(self) -> tuple[str, ...]:
        """The networks this stage trains."""
        return ROLES[self.mode]
