"""The model that writes profiles: its settings, its engine, and how it is asked."""

from dataclasses import dataclass
from pathlib import Path

from recipes.common.inference.chat_model import ChatModel, EngineSettings, turn_ends
from recipes.common.inference.types import Loading, Sampling
from recipes.common.stage.settings import check_least
from recipes.profile_dpo import profile
from recipes.profile_dpo.prompts import Message


@dataclass(frozen=True)
class Writing(EngineSettings):
    """The settings of a stage whose model writes."""

    prompt_tokens: int
    """Longer prompts are left out, and counted."""
    profile_tokens: int
    """At most so many of a profile."""
    at_once: int
    """Profiles that are written together."""
    keep_every: int
    """Authors between two checkpoints."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, "prompt_tokens", "profile_tokens", "at_once", "keep_every")

    @property
    def max_length(self) -> int:
        """Tokens of the longest chat."""
        return self.prompt_tokens + self.profile_tokens


class Speaker(ChatModel):
    """A chat model that ends its turns with `stop`."""

    def __init__(self, loading: Loading, engine: str):
        super().__init__(loading, engine)
        self.stop = turn_ends(self.tokenizer)

    def write(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[tuple[str, int]]:
        """For each prompt, the text of its reply and how many tokens that took."""
        replies = self.engine.generate(prompts, sampling, seed)
        return [
            (self.tokenizer.decode(reply.ids, skip_special_tokens=True), len(reply.ids) + reply.ended)
            for reply in replies
        ]


def open_writer(model: Path, settings: Writing) -> Speaker:
    """The model that writes, in the precision of its weights' use: never in 4 bits."""
    loading = Loading(model, settings.device, settings.dtype, False, settings.max_length, settings.gpu_share)
    return Speaker(loading, settings.engine)


def ask(writer: Speaker, chat: list[Message]) -> list[int]:
    """The ids after which a profile goes on: its first word is given."""
    return writer.ids(chat, profile.START)
