"""The settings of the training."""

from dataclasses import dataclass

from recipes.common.stage.settings import check_above, check_choice, check_least, check_share


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    device: str
    """cuda, in bfloat16, or cpu, in float32."""
    ranks: int | None
    """Processes on each machine; null: one for each GPU, on a CPU one."""
    batch_size: int
    """Sequences a step on each rank."""
    micro_batch: int
    """Sequences a forward and backward; a step has batch_size / micro_batch of them."""
    epochs: float
    lr: float
    beta1: float
    beta2: float
    weight_decay: float
    warmup: float
    cooldown: float
    lr_floor: float
    """Shares (schedule.py)."""
    grad_clip: float
    """Largest gradient norm."""
    lora_r: int
    lora_alpha: int | None
    lora_dropout: float
    activation_checkpointing: bool
    save_every: int | None
    """Steps; null: at the end of epochs only."""
    keep_last: int
    first_heavy_log_step: int | None
    heavy_log_increment_percent: float
    validation_batch_size: int
    max_new_tokens: int
    seed: int
    wandb_project: str | None

    def __post_init__(self) -> None:
        check_choice(self, "device", ("cuda", "cpu"))
        check_least(
            self, 1, "batch_size", "micro_batch", "lora_r", "keep_last", "validation_batch_size", "max_new_tokens"
        )
        check_least(self, 1, "ranks", "lora_alpha", "save_every", "first_heavy_log_step")
        check_above(self, 0, "epochs", "lr", "grad_clip")
        check_share(self, "[0, 1)", "beta1", "beta2", "lora_dropout")
        check_share(self, "[0, 1]", "warmup", "cooldown", "lr_floor")
        check_least(self, 0, "weight_decay", "heavy_log_increment_percent")
        if self.warmup + self.cooldown > 1:
            raise ValueError(f"`warmup` + `cooldown` is `{self.warmup + self.cooldown:g}`, more than 1")
        if self.batch_size % self.micro_batch:
            raise ValueError(f"`batch_size` is `{self.batch_size}`, not a multiple of `micro_batch` {self.micro_batch}")
