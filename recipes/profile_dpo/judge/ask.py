"""Asks a judge and reads its choices. Each reply is written to disk before the next one is read, and paid for once."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes.common.stage.command import Interrupted, Progress, StageError
from recipes.common.stage.journal import Journal
from recipes.profile_dpo.judge.types import Judge, JudgeSettings, Question, Reply
from recipes.profile_dpo.judge.verdict import choice

FEW = 10
"""Questions of which any number may stay unanswered."""


@dataclass
class Answers:
    """Counts over the replies of a journal. `add` adds a reply."""

    choices: dict[str, int] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    replies: int = 0
    garbage: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    half_in: int = 0
    """Of `tokens_in`, those at half the price."""
    half_out: int = 0
    seconds: float = 0.0
    allowances: int = 1
    """How often a budget may be spent: once more each time that it was used up."""

    def add(self, row: dict[str, Any]) -> None:
        if "allowance" in row:
            self.allowances += 1
            return
        key, choice = row["key"], row["choice"]
        self.replies += 1
        self.tries[key] = self.tries.get(key, 0) + 1
        if choice is None:
            self.garbage += 1
        else:
            self.choices.setdefault(key, choice)
        self.tokens_in += row["tokens_in"]
        self.tokens_out += row["tokens_out"]
        self.half_in += row["tokens_in"] if row["half_price"] else 0
        self.half_out += row["tokens_out"] if row["half_price"] else 0
        self.seconds += row["seconds"]

    def dollars(self, settings: JudgeSettings) -> float | None:
        """None where no price is known."""
        if settings.price_in is None or settings.price_out is None:
            return None
        paid_in, paid_out = self.tokens_in - self.half_in / 2, self.tokens_out - self.half_out / 2
        return (paid_in * settings.price_in + paid_out * settings.price_out) / 1e6

    def numbers(self, settings: JudgeSettings) -> dict[str, float]:
        """What metrics.json says; rates are of one reply."""
        dollars = self.dollars(settings)
        numbers: dict[str, float] = {
            "replies": self.replies,
            "garbage": self.garbage,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
        }
        if self.replies:
            rates = {"tokens_in": self.tokens_in, "tokens_out": self.tokens_out, "seconds": self.seconds}
            numbers |= {f"{name}_a_reply": round(value / self.replies, 4) for name, value in rates.items()}
        return numbers | ({} if dollars is None else {"dollars": round(dollars, 4)})


def read_answers(journal: Journal) -> Answers:
    """The answers that the journal holds."""
    answers = Answers()
    for row in journal.rows:
        answers.add(row)
    return answers


@dataclass
class Asking:
    """A judge that is asked, and the journal of its replies."""

    settings: JudgeSettings
    journal: Journal
    answers: Answers
    stop: Callable[[], bool]
    on_reply: Callable[[int], None] = lambda done: None
    """Told how many questions are settled, after each reply."""

    def settle(self, questions: list[Question], judge: Judge) -> dict[str, int | None]:
        """Each question's choice, or None if no attempt gave one. Raises Interrupted after `stop`, and StageError if
        the budget is used up, the judge does not answer, or too many questions have no answer."""
        for attempt in range(self.settings.attempts):
            answers = self.answers
            missing = [
                question
                for question in questions
                if question.key not in answers.choices and answers.tries.get(question.key, 0) <= attempt
            ]
            if missing:
                self._check_budget()
                self._ask(missing, attempt, judge)
        choices = {question.key: self.answers.choices.get(question.key) for question in questions}
        lost = sum(value is None for value in choices.values())
        if lost > self.settings.unanswered * len(choices) and len(choices) > FEW:
            raise StageError(
                f"the judge gave no answer to {lost:,} of {len(choices):,} questions, {self.settings.attempts} times",
                "read `text` in rows.jsonl of the stage's work folder; use another judge, or set `unanswered` higher",
            )
        return choices

    def _ask(self, questions: list[Question], attempt: int, judge: Judge) -> None:
        began, count = time.monotonic(), 0
        for reply in judge.ask(questions, attempt, self._halt):
            count += 1
            now = time.monotonic()
            self._keep(reply, now - began)
            began = now
        if self.stop():
            raise Interrupted(f"{len(self.answers.choices):,} questions are answered")
        if count < len(questions):
            self._check_budget()

    def _keep(self, reply: Reply, seconds: float) -> None:
        row = reply._asdict() | {"choice": choice(reply.text), "seconds": round(seconds, 4)}
        self.journal.append([row])
        self.answers.add(row)
        self.on_reply(len(self.answers.choices))

    def _halt(self) -> bool:
        return self.stop() or self._spent() is not None

    def _spent(self) -> tuple[str, str] | None:
        """What was used up: how much of what limit."""
        settings, count = self.settings, self.answers.allowances
        dollars, tokens = self.answers.dollars(settings), self.answers.tokens_in + self.answers.tokens_out
        if settings.max_dollars is not None and dollars is not None and dollars >= settings.max_dollars * count:
            return f"${dollars:.2f}", f"`max_dollars` is {settings.max_dollars:g}"
        if settings.max_tokens is not None and tokens >= settings.max_tokens * count:
            return f"{tokens:,} tokens", f"`max_tokens` is {settings.max_tokens:,}"
        return None

    def _check_budget(self) -> None:
        if spent := self._spent():
            self.journal.append([{"allowance": 1}])
            self.answers.add({"allowance": 1})
            raise StageError(
                f"the judge has cost {spent[0]} so far, and {spent[1]}",
                "start the run again to allow the same amount once more; it keeps the answers so far",
            )


@contextmanager
def open_asking(settings: JudgeSettings, work: Path, questions: int, stop: Callable[[], bool]) -> Iterator[Asking]:
    """Yields what asks `questions` questions, reports and keeps the answers in `work`. An interruption is a
    checkpoint."""
    journal, progress = Journal(work), Progress(work)
    answers = read_answers(journal)
    try:
        yield Asking(settings, journal, answers, stop, lambda done: progress.step(done, questions))
    except Interrupted:
        progress.checkpoint(journal.checkpoint(), len(answers.choices))
        raise


def open_judge(settings: JudgeSettings, model: Path, batched: bool, work: Path) -> Judge:
    """The judge that the settings name. `batched`: by the batch interface; `work` keeps what is on its way there."""
    if settings.judge == "words":
        from recipes.profile_dpo.judge.words import WordJudge

        return WordJudge()
    if settings.judge == "local":
        from recipes.profile_dpo.judge.local import LocalJudge

        return LocalJudge(model, settings)
    from recipes.profile_dpo.judge.batch import BatchJudge
    from recipes.profile_dpo.judge.endpoint import EndpointJudge, open_client

    client = open_client(settings)
    return BatchJudge(client, settings, work) if batched else EndpointJudge(client, settings)
