"""The settings of the trainings and of the merges. Nothing heavy is imported here."""

from dataclasses import dataclass

from recipes.common.checkpoint import merge
from recipes.common.stage.settings import check_above, check_choice, check_least
from recipes.common.trl.hyperparameters import Hyper
from recipes.synthetic_instruct.chat import ENDS

METHODS = {"lora": "default", "full": "full", "prompt": "prompt_tuning"}
"""What is trained -> the list whose stage does it: what it leaves, and the disk it takes, differ."""


@dataclass(frozen=True)
class Training(Hyper):
    """A training of the target model."""

    template: str
    """How the target is talked to: chatml, llama3 or mistral."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "template", tuple(ENDS))


@dataclass(frozen=True)
class SftSettings(Training):
    """Supervised fine-tuning: the stage's JSON, key by key."""

    method: str
    """lora; full: all weights; or prompt: prompt tuning, the study's baseline, which trains vectors before the chat and
    no weights."""
    virtual_tokens: int
    """Of prompt tuning."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "method", tuple(METHODS))
        if self.method == "full" and self.nf4:
            raise ValueError("`nf4` is `True`, and weights in 4 bits cannot be trained")
        check_least(self, 1, "virtual_tokens")


@dataclass(frozen=True)
class LoraSettings(SftSettings):
    """Of the stage `sft`."""

    trains = "lora"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method != self.trains:
            raise ValueError(f"`method` is `{self.method}`: `--stages {METHODS[self.method]}` has a stage for it")


class FullSettings(LoraSettings):
    """Of the stage `sft_full`."""

    trains = "full"


class PromptSettings(LoraSettings):
    """Of the stage `prompt`."""

    trains = "prompt"


@dataclass(frozen=True)
class DpoSettings(Training):
    """Preference optimization: the stage's JSON, key by key."""

    beta: float
    """How near the model stays to the reference."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above(self, 0, "beta")


@dataclass(frozen=True)
class MergeSettings(merge.MergeSettings):
    """Merging an adapter: the stage's JSON, key by key."""

    template: str

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "template", tuple(ENDS))
