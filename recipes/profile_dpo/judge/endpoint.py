"""A judge behind an OpenAI-compatible endpoint: many questions at a time, with retries while the service fails.

The key comes from JUDGE_API_KEY. A service that needs none gets a placeholder.
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import openai

from recipes.common.stage.command import Mistake, StageError
from recipes.profile_dpo.judge.types import SECRET, Judge, JudgeSettings, Question, Reply

PASSING = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError, openai.ConflictError)
"""What may be better in a while; a timeout is a failed connection."""
LONGEST_WAIT = 120.0
CHARACTERS = 4
"""Of a token, where the service does not count them."""


class EndpointJudge(Judge):
    """`endpoint_parallel` questions are on their way at any time."""

    def __init__(self, client: openai.OpenAI, settings: JudgeSettings):
        self.client, self.settings = client, settings

    def ask(self, questions: list[Question], attempt: int, halt: Callable[[], bool]) -> Iterator[Reply]:
        waiting, away, broken = list(reversed(questions)), set(), None
        ending = threading.Event()
        with ThreadPoolExecutor(self.settings.endpoint_parallel) as pool:
            while waiting or away:
                if waiting and (broken or halt()):
                    ending.set()
                    waiting.clear()
                while waiting and len(away) < self.settings.endpoint_parallel:
                    away.add(pool.submit(self._answer, waiting.pop(), ending))
                back, away = wait(away, return_when=FIRST_COMPLETED) if away else (set(), away)
                for future in back:
                    broken = broken or future.exception()
                    if future.exception() is None and (reply := future.result()):
                        yield reply
        if broken:
            raise sentence(broken, self.settings)

    def _answer(self, question: Question, ending: threading.Event) -> Reply | None:
        """None when there is no point in waiting any longer. Raises the last failure."""
        settings = self.settings
        for attempt in range(settings.endpoint_retries + 1):
            try:
                completion = self.client.chat.completions.create(**body(settings, question))
                return reply_of(question.key, completion.model_dump(), question)
            except PASSING as problem:
                if attempt == settings.endpoint_retries:
                    raise
                if ending.wait(pause(problem, settings.endpoint_pause * 2**attempt)):
                    return None
        return None


def open_client(settings: JudgeSettings) -> openai.OpenAI:
    """Its own retries are off: they would not be seen."""
    return openai.OpenAI(
        base_url=settings.endpoint_url,
        api_key=os.environ.get(SECRET) or "none",
        timeout=settings.endpoint_timeout,
        max_retries=0,
    )


def body(settings: JudgeSettings, question: Question) -> dict[str, Any]:
    """What is sent."""
    return {
        "model": settings.endpoint_model,
        "messages": question.chat,
        "temperature": 0.1,
        "max_tokens": settings.judge_tokens,
    }


def reply_of(key: str, completion: dict[str, Any], question: Question, half_price: bool = False) -> Reply:
    """What a completion says, with the tokens that the service counted."""
    choices = completion.get("choices") or [{}]
    text = (choices[0].get("message") or {}).get("content") or ""
    usage = completion.get("usage") or {}
    characters = sum(len(message["content"]) for message in question.chat)
    tokens_in = usage.get("prompt_tokens") or characters // CHARACTERS
    return Reply(key, text, tokens_in, usage.get("completion_tokens") or len(text) // CHARACTERS, half_price)


def pause(problem: Exception, seconds: float) -> float:
    """Seconds until the next try: what the service says, or `own` give or take a quarter."""
    retry_after = problem.response.headers.get("retry-after") if isinstance(problem, openai.APIStatusError) else None
    if retry_after and retry_after.replace(".", "", 1).isdecimal():
        return min(float(retry_after), LONGEST_WAIT)
    return min(seconds, LONGEST_WAIT) * random.uniform(0.75, 1.25)


def sentence(problem: BaseException, settings: JudgeSettings) -> BaseException:
    """A failure of the service as a StageError; any other as it is."""
    url, again = settings.endpoint_url, "start the run again later; it keeps the answers so far"
    if isinstance(problem, openai.APITimeoutError):
        return StageError(f"the judge at `{url}` took longer than {settings.endpoint_timeout:g} s, each time", again)
    if isinstance(problem, openai.APIConnectionError):
        return StageError(f"the judge at `{url}` cannot be reached", again)
    if isinstance(problem, openai.RateLimitError):
        return StageError(
            f"the judge at `{url}` refuses more requests for now", f"set `endpoint_parallel` lower; {again}"
        )
    if isinstance(problem, (openai.AuthenticationError, openai.PermissionDeniedError)):
        key = "the key" if os.environ.get(SECRET) else "a request without a key"
        return Mistake(f"the judge at `{url}` refuses {key}", f"set {SECRET} to a key of that service")
    if isinstance(problem, openai.NotFoundError):
        return Mistake(f"`{url}` has no `{settings.endpoint_model}`", "check `endpoint_url` and `endpoint_model`")
    if isinstance(problem, openai.APIStatusError):
        return StageError(f"the judge at `{url}` answered {problem.status_code}", again)
    if isinstance(problem, openai.APIError):
        return StageError(f"the judge at `{url}` sent something that is not an answer", again)
    return problem
