"""A chat model that writes: the check of its settings, its tokenizer, its engine, and the memory that it takes."""

from functools import cached_property
from typing import TYPE_CHECKING

from recipes.common.inference.engine import open_engine
from recipes.common.inference.types import ENGINES, Engine, Loading
from recipes.common.model.loading import DEVICES, DTYPES
from recipes.common.preflight import memory_estimate
from recipes.common.stage.settings import check_choice

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_engine(settings: object) -> None:
    """For a `__post_init__`: raises ValueError if engine, device, dtype or share of memory is wrong."""
    check_choice(settings, "engine", ENGINES)
    check_choice(settings, "device", DEVICES)
    check_choice(settings, "dtype", DTYPES)
    device, dtype, share = (getattr(settings, name) for name in ("device", "dtype", "gpu_share"))
    if not 0 < share <= 1:
        raise ValueError(f"`gpu_share` is `{share}`, not above 0 and at most 1")
    if device == "cpu" and dtype != "float32":
        raise ValueError(f"`dtype` is `{dtype}`; on a CPU it is `float32`")


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
