"""The chat model that writes instructions or answers: its settings, its engine, and how it is asked."""

from dataclasses import dataclass
from pathlib import Path

from recipes.common.inference.chat_model import ChatModel, EngineSettings
from recipes.common.inference.types import Loading, Sampling
from recipes.common.stage.settings import check_least, check_share
from recipes.synthetic_instruct.chat import one_bos
from recipes.synthetic_instruct.magpie import ends

PREFIX_ROOM = 128
"""Tokens for what the chat template itself writes."""


@dataclass(frozen=True)
class Speaking(EngineSettings):
    """The settings of a stage whose model writes."""

    nf4: bool
    instruction_tokens: int
    """At most so many of an instruction."""
    response_tokens: int
    top_p: float
    """Of responses."""
    at_once: int
    """Instructions that are written, or answered, together."""
    save_every: int
    """Rows between two checkpoints."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, "instruction_tokens", "response_tokens", "at_once", "save_every")
        check_share(self, "(0, 1]", "top_p")

    @property
    def max_length(self) -> int:
        """Tokens of the longest chat: template, instruction, response."""
        return PREFIX_ROOM + self.instruction_tokens + self.response_tokens


class Speaker(ChatModel):
    """A chat model that writes instructions or answers."""

    def __init__(self, model: Path, settings: Speaking):
        loading = Loading(model, settings.device, settings.dtype, settings.nf4, settings.max_length, settings.gpu_share)
        super().__init__(loading, settings.engine)
        self.settings = settings
        self.ends = ends(self.tokenizer)
        self.special = [str(token) for token in self.tokenizer.added_tokens_decoder.values()]

    def write(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[tuple[str, bool]]:
        """For each prompt, the text of its reply and whether it came to its end."""
        replies = self.engine.generate(prompts, sampling, seed)
        return [(self.tokenizer.decode(reply.ids, skip_special_tokens=True).strip(), reply.ended) for reply in replies]

    def question(self, instruction: str) -> list[int]:
        """The tokens of a chat with the instruction, up to and with the assistant's header."""
        ids = self.ids([{"role": "user", "content": instruction}])
        return one_bos(ids, self.tokenizer.bos_token_id, "the chat")

    def fits(self, instruction: str) -> bool:
        """Whether the chat leaves room for a response of full length."""
        return len(self.question(instruction)) <= self.settings.max_length - self.settings.response_tokens
