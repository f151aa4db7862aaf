"""What the plan says about a training stage, and which of its steps are the token noiser's."""

from dataclasses import dataclass

from recipes.common.stage.settings import check_choice
from recipes.token_buncher.harm import check_name

MODES = ("defend", "attack")
FORMS = ("paper", "upstream")


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key. Null means: derived from the machine, or from the other settings."""

    mode: str
    """defend: entropy as the reward, and token noiser steps; attack: a classifier's score as the reward."""
    steps: int
    train_batch: int
    """Prompts a step."""
    mini_batch: int
    """Prompts an update; a step has train_batch / mini_batch of them."""
    rollout_n: int
    """Samples of each prompt: the group of GRPO."""
    max_prompt_length: int
    """Tokens, the assistant's header included."""
    max_response_length: int
    """Tokens, the end token included."""
    rollout_tensor_parallel: int | None
    tokens_per_gpu: int | None
    """Tokens in one forward and backward."""
    gpu_memory_utilization: float
    """Share of a GPU's memory that vLLM may take."""
    lr: float
    grad_clip: float
    """Largest gradient norm, of both kinds of updates."""
    kl: float
    """Weight of the KL to the model's first state in the reward; 0: no reference is loaded."""
    warmup_steps: int | None
    """Steps before the first noiser step can come; null: an eighth of the steps."""
    noise: float
    """epsilon of the token noiser."""
    noise_form: str
    """paper: noise weighs epsilon; upstream: epsilon squared, as the authors' code has it."""
    save_every: int
    keep_last: int
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
    classifier: str | None
    """What scores the answers of an attack (harm.py); a defence has no use for it."""

    def __post_init__(self) -> None:
        check_choice(self, "mode", MODES)
        check_choice(self, "noise_form", FORMS)
        check_choice(self, "device", ("cuda", "cpu"))
        check_choice(self, "rollout", ("vllm", "hf"))
        counts = "steps train_batch mini_batch max_prompt_length max_response_length save_every keep_last"
        derived = "rollout_tensor_parallel tokens_per_gpu ranks"
        for name in [*counts.split(), *(name for name in derived.split() if getattr(self, name) is not None)]:
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` is `{getattr(self, name)}`, less than 1")
        for name in ("lr", "grad_clip"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` is `{getattr(self, name)}`, not above 0")
        for name in ("kl", "warmup_steps"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"`{name}` is `{getattr(self, name)}`, less than 0")
        if not 0 < self.noise < 1:
            raise ValueError(f"`noise` is `{self.noise}`, not between 0 and 1")
        if self.rollout_n < 2:
            raise ValueError(f"`rollout_n` is `{self.rollout_n}`: GRPO compares samples of one prompt, 2 or more")
        if self.train_batch % self.mini_batch:
            raise ValueError(f"`train_batch` is `{self.train_batch}`, no multiple of `mini_batch` {self.mini_batch}")
        if self.tokens_per_gpu is not None and self.tokens_per_gpu < self.max_length:
            raise ValueError(
                f"`tokens_per_gpu` is `{self.tokens_per_gpu}`, less than one sequence of "
                f"`max_prompt_length` + `max_response_length` = {self.max_length} tokens"
            )
        if self.mode == "attack" and self.classifier is None:
            raise ValueError("`classifier` is `null`: an attack's reward is a classifier's score, which you bring")
        check_name(self.classifier)

    @property
    def max_length(self) -> int:
        """Tokens of the longest sequence."""
        return self.max_prompt_length + self.max_response_length

    @property
    def warmup(self) -> int:
        """Steps before the first noiser step can come."""
        return self.steps // 8 if self.warmup_steps is None else self.warmup_steps


def is_noiser(step: int, warmup: int) -> bool:
    """Whether `step`, counted from 1, is a noiser step: none in the warmup, then every other one.

    The authors count from 0 and take the even steps from `warmup` on: with 25, the 27th step is the first.
    """
    place = step - 1
    return place >= warmup and place % 2 == 0
