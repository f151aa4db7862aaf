"""What the plan says about a training stage."""

from dataclasses import dataclass

from recipes.common.stage.settings import check_choice

ROLES = {"warmup": ("actor", "critic"), "adversarial": ("actor", "critic"), "seqkd": ("actor",)}
"""The modes, and the networks each trains. The critic is the discriminator."""


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    mode: str
    """warmup: SFT and the discriminator; adversarial: GRPO against it; seqkd: SFT alone."""
    steps: int
    """Of this stage, from 1: rows * epochs // train_batch."""
    train_batch: int
    """Prompts a step, and the only mini batch of it."""
    val_batch: int
    max_prompt_length: int
    """Tokens, the assistant's header included."""
    max_response_length: int
    """Tokens, the end token included."""
    rollout_n: int
    """Samples of each prompt: the group of GRPO."""
    temperature: float
    rollout_tensor_parallel: int
    tokens_per_gpu: int
    """Tokens in one forward and backward of the actor."""
    gpu_memory_utilization: float
    """Share of a GPU's memory that vLLM may take."""
    actor_lr: float
    critic_lr: float
    grad_clip: float
    """Largest gradient norm, of actor and of critic."""
    kl_loss: float
    """Weight of the k3 estimate of KL(actor, reference) in the adversarial loss."""
    entropy: float
    """Weight of the entropy bonus in the adversarial loss."""
    critic_warmup: int
    """Steps in which the discriminator trains alone."""
    save_every: int
    validate_every: int
    keep_last: int
    """Checkpoints kept besides the best."""
    device: str
    """cuda or cpu."""
    rollout: str
    """vllm or hf."""
    ranks: int | None
    """Training processes a node; null: every visible GPU, or one on a CPU."""
    param_offload: bool
    optimizer_offload: bool
    seed: int
    wandb_project: str
    verl_overrides: list

    def __post_init__(self) -> None:
        check_choice(self, "mode", tuple(ROLES))
        check_choice(self, "device", ("cuda", "cpu"))
        check_choice(self, "rollout", ("vllm", "hf"))
        at_least_one = (
            "steps train_batch val_batch max_prompt_length max_response_length rollout_n rollout_tensor_parallel "
            "tokens_per_gpu save_every validate_every keep_last"
        )
        for name in at_least_one.split():
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` is `{getattr(self, name)}`, less than 1")
        if self.ranks is not None and self.ranks < 1:
            raise ValueError(f"`ranks` is `{self.ranks}`, less than 1")
        if self.critic_warmup < 0:
            raise ValueError(f"`critic_warmup` is `{self.critic_warmup}`, less than 0")
        for name in ("temperature", "actor_lr", "critic_lr", "grad_clip"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` is `{getattr(self, name)}`, not above 0")
        if self.mode == "adversarial" and self.rollout_n < 2:
            raise ValueError("`rollout_n` is `1`: GRPO compares samples of one prompt, so it needs 2 or more")
        if self.tokens_per_gpu < self.max_length:
            raise ValueError(
                f"`tokens_per_gpu` is `{self.tokens_per_gpu}`, less than one sequence of "
                f"`max_prompt_length` + `max_response_length` = {self.max_length} tokens"
            )

    @property
    def max_length(self) -> int:
        """Tokens of the longest sequence."""
        return self.max_prompt_length + self.max_response_length

    @property
    def roles(self) -> tuple[str, ...]:
        """The networks this stage trains."""
        return ROLES[self.mode]
