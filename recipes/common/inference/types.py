"""Prompts in, replies out, both as token ids, whichever library computes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

ENGINES = ("vllm", "transformers")


@dataclass(frozen=True)
class Loading:
    """A model, and how it is put into memory."""

    folder: Path
    device: str
    """cuda or cpu."""
    dtype: str
    """Of weights that are not in 4 bits, and of all computation: bfloat16, float16 or float32."""
    nf4: bool
    """Whether the linear layers' weights are in bitsandbytes' 4 bits."""
    max_length: int
    """Tokens of the longest prompt with its reply."""
    gpu_share: float
    """Of a GPU's memory that vllm may take."""


@dataclass(frozen=True)
class Sampling:
    """How replies are sampled; temperature 0 is greedy."""

    max_tokens: int
    temperature: float
    top_p: float
    stop: tuple[int, ...]
    """Tokens that end a reply."""
    banned_first: tuple[int, ...] = ()
    """Tokens that no reply begins with."""


class Reply(NamedTuple):
    ids: list[int]
    """Without the token that ended it."""
    ended: bool
    """False where `max_tokens` cut it off."""


class Engine(Protocol):
    """A loaded model."""

    def generate(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[Reply]:
        """A reply to each prompt. The ids are taken as they are: nothing puts a BOS before them. The same prompts and
        seed give the same replies, on the same machine."""
        ...

    def peak_bytes(self) -> int:
        """The most memory that it took so far."""
        ...
