"""What a plan says about every stage that trains on verl: nothing heavy is imported here."""

from dataclasses import dataclass

from recipes.common.stage.settings import check_above, check_choice, check_least


@dataclass(frozen=True, kw_only=True)
class VerlSettings:
    """The keys of a stage's JSON that the verl recipes share."""

    mode: str
    steps: int
    train_batch: int
    """Prompts a step."""
    max_prompt_length: int
    """Tokens, the assistant's header included."""
    max_response_length: int
    """Tokens, the end token included."""
    rollout_n: int
    """Samples of each prompt: the group of GRPO."""
    rollout_tensor_parallel: int | None
    tokens_per_gpu: int | None
    """Tokens in one forward and backward of the actor."""
    gpu_memory_utilization: float
    """Share of a GPU's memory that vLLM may take."""
    grad_clip: float
    """Largest gradient norm, of every network and every kind of update."""
    save_every: int
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

    def check(self, modes: tuple[str, ...]) -> None:
        """For a `__post_init__`: raises ValueError when one of these values is invalid."""
        check_choice(self, "mode", modes)
        check_choice(self, "device", ("cuda", "cpu"))
        check_choice(self, "rollout", ("vllm", "hf"))
        check_least(self, 1, "steps", "train_batch", "max_prompt_length", "max_response_length", "rollout_n")
        check_least(self, 1, "rollout_tensor_parallel", "tokens_per_gpu", "save_every", "keep_last", "ranks")
        check_above(self, 0, "grad_clip")
        if self.tokens_per_gpu is not None and self.tokens_per_gpu < self.max_length:
            raise ValueError(
                f"`tokens_per_gpu` is `{self.tokens_per_gpu}`, less than one sequence of "
                f"`max_prompt_length` + `max_response_length` = {self.max_length} tokens"
            )

    @property
    def max_length(self) -> int:
        """Tokens of the longest sequence."""
        return self.max_prompt_length + self.max_response_length
