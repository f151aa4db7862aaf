"""The chat model that writes instructions or answers: its settings, its engine, and how it is asked."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.common.inference.engine import open_engine
from recipes.common.inference.types import ENGINES, Engine, Loading, Reply, Sampling
from recipes.common.model.loading import DEVICES, DTYPES
from recipes.common.preflight import memory_estimate
from recipes.common.stage.settings import check_choice
from recipes.synthetic_instruct.chat import one_bos
from recipes.synthetic_instruct.magpie import ends

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PREFIX_ROOM = 128
"""Tokens for what the chat template itself writes."""


@dataclass(frozen=True)
class Speaking:
    """What the plan says about a stage whose model writes."""

    engine: str
    device: str
    dtype: str
    nf4: bool
    gpu_share: float
    instruction_tokens: int
    """At most so many of an instruction."""
    response_tokens: int
    top_p: float
    """Of responses."""
    at_once: int
    """Instructions that are written, or answered, together."""
    save_every: int
    """Rows between two checkpoints."""
    seed: int

    def __post_init__(self) -> None:
        check_choice(self, "engine", ENGINES)
        check_choice(self, "device", DEVICES)
        check_choice(self, "dtype", DTYPES)
        for name in ("instruction_tokens", "response_tokens", "at_once", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` is `{getattr(self, name)}`, less than 1")
        for name in ("gpu_share", "top_p"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"`{name}` is `{getattr(self, name)}`, not above 0 and at most 1")
        if self.engine == "vllm" and self.device == "cpu":
            raise ValueError("`engine` is `vllm`, which needs `device` `cuda`; on a CPU take `transformers`")
        if self.device == "cpu" and self.dtype != "float32":
            raise ValueError(f"`dtype` is `{self.dtype}`; on a CPU it is `float32`")

    @property
    def max_length(self) -> int:
        """Tokens of the longest chat: template, instruction, response."""
        return PREFIX_ROOM + self.instruction_tokens + self.response_tokens


class Speaker:
    """A chat model. The engine is opened when it is first asked."""

    def __init__(self, model: Path, settings: Speaking):
        from transformers import AutoTokenizer

        self.folder, self.settings = model, settings
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            model, local_files_only=True, trust_remote_code=False
        )
        self.ends = ends(self.tokenizer)
        self.special = [str(token) for token in self.tokenizer.added_tokens_decoder.values()]

    @cached_property
    def engine(self) -> Engine:
        """Holds the GPU until this process ends."""
        own = self.settings
        return open_engine(
            own.engine, Loading(self.folder, own.device, own.dtype, own.nf4, own.max_length, own.gpu_share)
        )

    def write(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[tuple[str, bool]]:
        """For each prompt, the text of its reply and whether it came to its end."""
        replies: list[Reply] = self.engine.generate(prompts, sampling, seed)
        return [(self.tokenizer.decode(one.ids, skip_special_tokens=True).strip(), one.ended) for one in replies]

    def question(self, instruction: str) -> list[int]:
        """The ids of a chat with the instruction, up to and with the assistant's header."""
        chat = [{"role": "user", "content": instruction}]
        text = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        return one_bos(ids, self.tokenizer.bos_token_id, "the chat")

    def fits(self, instruction: str) -> bool:
        """Whether the chat leaves room for a response of full length."""
        return len(self.question(instruction)) <= self.settings.max_length - self.settings.response_tokens

    def numbers(self, at_once: int) -> dict[str, float]:
        """Predicted and measured memory, for `at_once` sequences."""
        own = self.settings
        parts = memory_estimate.generating(
            memory_estimate.shape_of(self.folder), own.dtype, own.nf4, at_once, own.max_length
        )
        # a stage that was only to be finished never opened it
        return memory_estimate.numbers(parts, self.engine.peak_bytes() if "engine" in vars(self) else 0)
