"""A judge behind the batch interface of an endpoint: a round is one file, answered within a day, at half the price."""

import json
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import openai

from recipes.common.stage.command import StageError
from recipes.common.stage.files import read_json, write_json
from recipes.profile_dpo.judge.endpoint import body, reply_of, sentence
from recipes.profile_dpo.judge.types import Judge, JudgeSettings, Question, Reply

GONE = ("failed", "expired", "cancelled")


class BatchJudge(Judge):
    """`batches.json` names the batches that were sent: a stage that starts again waits for them and pays once."""

    def __init__(self, client: openai.OpenAI, settings: JudgeSettings, work: Path):
        self.client, self.settings, self.path = client, settings, work / "batches.json"

    def ask(self, questions: list[Question], attempt: int, halt: Callable[[], bool]) -> Iterator[Reply]:
        if not questions or halt():
            return
        by_key = {question.key: question for question in questions}
        try:
            lines = self._answers(questions, attempt, halt)
        except openai.OpenAIError as problem:
            raise sentence(problem, self.settings) from problem
        for line in lines:
            completion = (line.get("response") or {}).get("body") or {}
            if (question := by_key.get(line.get("custom_id", ""))) and completion.get("choices"):
                yield reply_of(question.key, completion, question, half_price=True)

    def _answers(self, questions: list[Question], attempt: int, halt: Callable[[], bool]) -> list[dict[str, Any]]:
        """The lines of the batch's output; none when it was not awaited."""
        name = sha256(f"{attempt} {sorted(question.key for question in questions)}".encode()).hexdigest()[:16]
        known = read_json(self.path) or {}
        if name not in known:
            known[name] = self._send(questions)
            write_json(self.path, known)
        pause = threading.Event()
        while (batch := self.client.batches.retrieve(known[name])).status not in ("completed", *GONE):
            if halt():
                return []
            pause.wait(self.settings.batch_poll)
        if batch.status in GONE and not batch.output_file_id:
            del known[name]
            write_json(self.path, known)
            raise StageError(f"the batch `{batch.id}` {batch.status}", "start the run again: it sends the batch again")
        if not batch.output_file_id:
            return []
        text = self.client.files.content(batch.output_file_id).text
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    def _send(self, questions: list[Question]) -> str:
        url = "/v1/chat/completions"
        lines = [
            {"custom_id": question.key, "method": "POST", "url": url, "body": body(self.settings, question)}
            for question in questions
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        file = self.client.files.create(file=("round.jsonl", text.encode()), purpose="batch")
        return self.client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h").id
