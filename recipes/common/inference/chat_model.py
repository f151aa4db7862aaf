"""A chat model that writes: the check of its settings, its tokenizer, its engine, and the memory that it takes."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from recipes.common.inference.types import ENGINES, Engine, Loading
from recipes.common.inference.vllm_cpu import check_build
from recipes.common.model.loading import DEVICES, DTYPES
from recipes.common.preflight import memory_estimate
from recipes.common.stage.command import Mistake
from recipes.common.stage.settings import check_choice, check_share

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class EngineSettings:
    """The settings of a stage whose model writes."""

    engine: str
    device: str
    dtype: str
    gpu_share: float
    seed: int

    def __post_init__(self) -> None:
        check_choice(self, "engine", ENGINES)
        check_choice(self, "device", DEVICES)
        check_choice(self, "dtype", DTYPES)
        check_share(self, "(0, 1]", "gpu_share")
        if self.device == "cpu" and self.dtype != "float32":
            raise ValueError(f"`dtype` is `{self.dtype}`; on a CPU it is `float32`")


def turn_ends(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """The tokens that end an assistant's turn: the one its template writes, and the model's own."""
    closed = turn_close(tokenizer)
    after = [token for token in tokenizer.encode(closed, add_special_tokens=False) if token in special_ids(tokenizer)]
    end_of_text = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return tuple(dict.fromkeys([*after[:1], *end_of_text]))


def turn_close(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What the template writes after the assistant's words."""
    mark = "\N{WHITE SQUARE}"
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": mark}]
    return tokenizer.apply_chat_template(chat, tokenize=False).rpartition(mark)[2]


def special_ids(tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    """The tokens that no text is written with."""
    return set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)


def open_engine(name: str, loading: Loading) -> Engine:
    """The engine `name` of ENGINES with the model loaded. It holds the GPU until its process ends."""
    if name == "vllm":
        check_build(loading.device, "engine", "transformers")
        try:
            from recipes.common.inference.vllm_engine import VllmEngine
        except ModuleNotFoundError as missing:
            raise Mistake(
                f"`engine` is `vllm`, and `{missing.name}` is not installed", "use the CUDA image, or `transformers`"
            ) from None
        return VllmEngine(loading)
    from recipes.common.inference.transformers_engine import TransformersEngine

    return TransformersEngine(loading)


class ChatModel:
    """A chat model. The engine is opened when it is first asked, and holds the GPU until this process ends."""

    def __init__(self, loading: Loading, engine: str):
        from transformers import AutoTokenizer

        self.loading, self.name = loading, engine
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            loading.folder, local_files_only=True, trust_remote_code=False
        )

    @cached_property
    def engine(self) -> Engine:
        return open_engine(self.name, self.loading)

    def ids(self, chat: list[dict[str, str]], start: str = "") -> list[int]:
        """The tokens of the chat up to and with the assistant's header, and of the text that begins the answer."""
        text = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        return self.tokenizer.encode(text + start, add_special_tokens=False)

    def numbers(self, at_once: int) -> dict[str, float]:
        """Predicted and measured memory, for `at_once` sequences."""
        loading = self.loading
        parts = memory_estimate.generating(
            memory_estimate.shape_of(loading.folder), loading.dtype, loading.nf4, at_once, loading.max_length
        )
        # a stage that was only to be finished never opened it
        return memory_estimate.numbers(parts, self.engine.peak_bytes() if "engine" in vars(self) else 0)
