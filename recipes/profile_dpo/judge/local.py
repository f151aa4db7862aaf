"""A judge that is a model of its own: the stage `judge`'s, by either engine."""

from collections.abc import Callable, Iterator
from pathlib import Path

from recipes.common.inference.types import Loading, Sampling
from recipes.common.stage.command import StageError
from recipes.profile_dpo.judge.types import Judge, JudgeSettings, Question, Reply
from recipes.profile_dpo.writer import Speaker

AGAIN = 0.7
"""Temperature after a greedy answer that was none: the same again would be no help."""


class LocalJudge(Judge):
    """Greedy at the first attempt."""

    def __init__(self, model: Path, settings: JudgeSettings):
        length = settings.judge_prompt_tokens + settings.judge_tokens
        loading = Loading(model, settings.device, settings.dtype, settings.judge_nf4, length, settings.gpu_share)
        self.speaker, self.settings = Speaker(loading, settings.engine), settings

    def ask(self, questions: list[Question], attempt: int, halt: Callable[[], bool]) -> Iterator[Reply]:
        settings = self.settings
        sampling = Sampling(settings.judge_tokens, AGAIN if attempt else 0.0, 0.95, self.speaker.stop)
        for start in range(0, len(questions), settings.judged_at_once):
            if halt():
                return
            part = questions[start : start + settings.judged_at_once]
            prompts = [self.speaker.ids(question.chat) for question in part]
            if (longest := max(map(len, prompts))) > settings.judge_prompt_tokens:
                raise StageError(
                    f"a question to the judge has {longest:,} tokens, and `judge_prompt_tokens` is "
                    f"{settings.judge_prompt_tokens:,}",
                    "set `judge_prompt_tokens` higher, or `papers` lower",
                )
            replies = self.speaker.write(prompts, sampling, settings.seed + attempt)
            for question, ids, (text, tokens) in zip(part, prompts, replies, strict=True):
                yield Reply(question.key, text, len(ids), tokens)

    def numbers(self) -> dict[str, float]:
        return self.speaker.numbers(self.settings.judged_at_once)
