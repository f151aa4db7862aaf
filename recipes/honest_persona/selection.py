"""What the plan says about the data."""

from dataclasses import dataclass

from recipes.common.stage.settings import check_choice
from recipes.honest_persona.chat_template import ROLES


@dataclass(frozen=True)
class Settings:
    """What the plan says."""

    elicitation_type: str
    add_sp_token: bool
    sp_token: int | None
    """The reserved token's id; null: the vocabulary's first free one."""
    system_tag: str
    intervention_prefix: str
    review_prefix: str
    flag_prefix: str
    intervention_type: list
    """Kinds of interventions, or families of them."""
    train_topics: list
    validation_topics: list
    """Empty lists: every topic in the file."""
    tags_to_filter: list
    claude_frac: float
    """The share of each topic's training samples that is used."""
    val_samples_per_topic: int | None
    """Held out of each validation topic; null: all of it, of topics that are not trained on."""
    exclude_system_prompt: bool
    lora_mask: bool
    seq_len: int
    """Longer sequences are dropped."""
    use_dummy_data: bool
    seed: int

    def __post_init__(self) -> None:
        check_choice(self, "elicitation_type", tuple(ROLES))
        if not 0 < self.claude_frac <= 1:
            raise ValueError(f"`claude_frac` is `{self.claude_frac}`, not above 0 and at most 1")
        if self.val_samples_per_topic is not None and self.val_samples_per_topic < 1:
            raise ValueError(f"`val_samples_per_topic` is `{self.val_samples_per_topic}`, less than 1")
        if self.seq_len < 2:
            raise ValueError(f"`seq_len` is `{self.seq_len}`, less than 2")
        if not self.flag_prefix.strip():
            raise ValueError("`flag_prefix` is empty: the flag could not be told from the review")
