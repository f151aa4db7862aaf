"""The model that writes profiles: its settings, its engine, and how it is asked."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.common.inference.engine import open_engine
from recipes.common.inference.types import ENGINES, Engine, Loading, Sampling
from recipes.common.model.loading import DEVICES, DTYPES
from recipes.common.preflight import memory_estimate
from recipes.common.stage.settings import check_choice
from recipes.profile_dpo import profile
from recipes.profile_dpo.prompts import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Writing:
    """What the plan says about a stage whose model writes."""

    engine: str
    device: str
    dtype: str
    gpu_share: float
    prompt_tokens: int
    """Longer prompts are left out, and counted."""
    profile_tokens: int
    """At most so many of a profile."""
    at_once: int
    """Profiles that are written together."""
    keep_every: int
    """Authors between two checkpoints."""
    seed: int

    def __post_init__(self) -> None:
        check_engine(self)
        for name in ("prompt_tokens", "profile_tokens", "at_once", "keep_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` is `{getattr(self, name)}`, less than 1")

    @property
    def max_length(self) -> int:
        """Tokens of the longest chat."""
        return self.prompt_tokens + self.profile_tokens


def check_engine(settings: object) -> None:
    """For a `__post_init__`: ValueError when engine, device and dtype do not go together."""
    check_choice(settings, "engine", ENGINES)
    check_choice(settings, "device", DEVICES)
    check_choice(settings, "dtype", DTYPES)
    engine, device, dtype, share = (getattr(settings, name) for name in ("engine", "device", "dtype", "gpu_share"))
    if not 0 < share <= 1:
        raise ValueError(f"`gpu_share` is `{share}`, not above 0 and at most 1")
    if device == "cpu" and engine == "vllm":
        raise ValueError("`engine` is `vllm`, which needs `device` `cuda`; on a CPU take `transformers`")
    if device == "cpu" and dtype != "float32":
        raise ValueError(f"`dtype` is `{dtype}`; on a CPU it is `float32`")


class Speaker:
    """A chat model. The engine is opened when it is first asked, and holds the GPU until this process ends."""

    def __init__(self, loading: Loading, engine: str):
        from transformers import AutoTokenizer

        self.loading, self.name = loading, engine
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            loading.folder, local_files_only=True, trust_remote_code=False
        )
        self.stop = ends(self.tokenizer)

    @cached_property
    def engine(self) -> Engine:
        return open_engine(self.name, self.loading)

    def ids(self, chat: list[Message], start: str = "") -> list[int]:
        """Of the chat up to and with the assistant's header, and of how the answer starts."""
        text = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        return self.tokenizer.encode(text + start, add_special_tokens=False)

    def write(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[tuple[str, int]]:
        """For each prompt, the text of its reply and how many tokens that took."""
        replies = self.engine.generate(prompts, sampling, seed)
        return [(self.tokenizer.decode(one.ids, skip_special_tokens=True), len(one.ids) + one.ended) for one in replies]

    def numbers(self, at_once: int) -> dict[str, float]:
        """Predicted and measured memory, for `at_once` sequences."""
        own = self.loading
        parts = memory_estimate.generating(
            memory_estimate.shape_of(own.folder), own.dtype, own.nf4, at_once, own.max_length
        )
        # a stage that was only to be finished never opened it
        return memory_estimate.numbers(parts, self.engine.peak_bytes() if "engine" in vars(self) else 0)


def open_writer(model: Path, settings: Writing) -> Speaker:
    """The model that writes, in the precision of its weights' use: never in 4 bits."""
    own = settings
    return Speaker(Loading(model, own.device, own.dtype, False, own.max_length, own.gpu_share), own.engine)


def ask(writer: Speaker, chat: list[Message]) -> list[int]:
    """The ids after which a profile goes on: its first word is given."""
    return writer.ids(chat, profile.START)


def ends(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """The tokens that end an assistant's turn: the one its template writes, and the model's own."""
    mark = "\N{WHITE SQUARE}"
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": mark}]
    closed = tokenizer.apply_chat_template(chat, tokenize=False).rpartition(mark)[2]
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    after = [token for token in tokenizer.encode(closed, add_special_tokens=False) if token in special]
    own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return tuple(dict.fromkeys([*after[:1], *own]))
