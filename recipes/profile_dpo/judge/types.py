"""The settings of a judge, its questions and its answers. Nothing heavy is imported here."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from recipes.common.inference.chat_model import EngineSettings
from recipes.common.stage.settings import check_above, check_choice, check_least
from recipes.profile_dpo.prompts import Message

JUDGES = ("local", "endpoint", "words")
"""The model of the stage `judge`; an OpenAI-compatible service; or a rule that counts words, for tests."""
KEY = re.compile(r"\b(sk|hf|gsk|pplx|xai)[-_][A-Za-z0-9_-]{8,}|Bearer\s|^[A-Za-z0-9]{32,}$|://[^/\s]+@")
"""How keys look."""
SECRET = "JUDGE_API_KEY"
USE_SECRET = f"remove it, and give it as the secret {SECRET}: in the environment, or in site.yaml under `secrets`"


@dataclass(frozen=True)
class JudgeSettings(EngineSettings):
    """Shared by the stages that ask the judge."""

    judge: str
    judge_nf4: bool
    """Whether a local judge is in 4 bits."""
    judge_prompt_tokens: int
    judge_tokens: int
    """Of an answer."""
    judged_at_once: int
    orders: int
    """2: each match is judged in both orders; 1: in one, by a coin."""
    attempts: int
    """How often a question is asked until its answer is one."""
    unanswered: float
    """The share of questions that may stay without an answer."""
    endpoint_url: str | None
    """As https://api.openai.com/v1."""
    endpoint_model: str | None
    endpoint_parallel: int
    endpoint_timeout: float
    """Seconds for an answer."""
    endpoint_retries: int
    """After a timeout, a refusal for haste or a failure of the service; waits double."""
    endpoint_pause: float
    """Seconds of the first wait."""
    batched_rounds: int
    """The first rounds of a tournament that go to the service's batch interface: within a day, at half the price."""
    batch_poll: float
    """Seconds between two looks at a batch."""
    price_in: float | None
    """Dollars for a million tokens of questions."""
    price_out: float | None
    """And of answers."""
    max_dollars: float | None
    """Spent before the stage stops; started again, it may spend as much again."""
    max_tokens: int | None
    """The same, in tokens."""
    api_key: str | None
    """Never here."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if (name == "api_key" and value is not None) or (isinstance(value, str) and KEY.search(value)):
                raise ValueError(f"`{name}` contains a key, and settings are written to many files; {USE_SECRET}")
        check_choice(self, "judge", JUDGES)
        super().__post_init__()
        check_least(self, 1, "judge_prompt_tokens", "judge_tokens", "judged_at_once", "attempts", "endpoint_parallel")
        check_least(self, 0, "endpoint_retries", "endpoint_pause", "batched_rounds", "unanswered")
        if self.orders not in (1, 2):
            raise ValueError(f"`orders` is `{self.orders}`, neither 1 nor 2")
        check_above(self, 0, "endpoint_timeout", "batch_poll", "price_in", "price_out", "max_dollars", "max_tokens")
        if self.judge == "endpoint":
            for name in ("endpoint_url", "endpoint_model"):
                if not getattr(self, name):
                    raise ValueError(f"`judge` is `endpoint`, and `{name}` is not set")
            if not str(self.endpoint_url).startswith(("http://", "https://")):
                raise ValueError(f"`endpoint_url` is `{self.endpoint_url}`, which does not begin with https://")
        if self.max_dollars is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("`max_dollars` needs `price_in` and `price_out`, in dollars for a million tokens")
        if self.batched_rounds and self.judge != "endpoint":
            raise ValueError(f"`batched_rounds` is `{self.batched_rounds}`, which needs `judge` `endpoint`")


class Question(NamedTuple):
    key: str
    chat: list[Message]
    abstracts: tuple[str, ...]
    shown: tuple[str, str]
    """Both profiles, in their order."""


class Reply(NamedTuple):
    """The answer to a question, whatever it is."""

    key: str
    text: str
    tokens_in: int
    tokens_out: int
    half_price: bool = False


class Judge(Protocol):
    """Answers questions."""

    def ask(self, questions: list[Question], attempt: int, halt: Callable[[], bool]) -> Iterator[Reply]:
        """A reply to each question, in any order, each as soon as it is there. Once `halt` says so no more questions
        are asked; what was asked is still answered. Raises StageError if it cannot continue."""
        ...

    def numbers(self) -> dict[str, float]:
        """Of its memory, where it takes any."""
        return {}
