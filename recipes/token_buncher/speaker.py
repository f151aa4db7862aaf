"""A model that answers questions, and the entropy of its tokens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList


class Answer(NamedTuple):
    text: str
    entropy: float
    """The mean over its tokens, in nats, over the whole vocabulary at temperature 1."""
    tokens: int


class Speaker:
    """One exported model."""

    def __init__(self, folder: Path, device: str):
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="auto")
        self.model = model.to(device).eval()
        self.device = device

    def answer(self, questions: list[str], length: int, batch: int, seed: int | None) -> Iterator[list[Answer]]:
        """Answers of at most `length` tokens, `batch` at a time; sampled with the seed, or greedy where it is None."""
        for start in range(0, len(questions), batch):
            if seed is not None:
                torch.manual_seed(seed + start)
            yield self._answer(questions[start : start + batch], length, seed is not None)

    @torch.no_grad()
    def _answer(self, questions: list[str], length: int, sampled: bool) -> list[Answer]:
        chats = [[{"role": "user", "content": question}] for question in questions]
        prompts = self.tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        ).to(self.device)
        # What the model's own generation settings say about sampling does not count here.
        greedy: dict[str, Any] = dict.fromkeys(("temperature", "top_k", "top_p"))
        draw = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} if sampled else greedy
        entropies = Entropies()
        tokens = self.model.generate(
            **prompts,
            max_new_tokens=length,
            do_sample=sampled,
            repetition_penalty=1.0,
            pad_token_id=self.tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList([entropies]),
            **draw,
        )[:, prompts["input_ids"].shape[1] :]
        steps = torch.stack(entropies.steps, 1)
        counts = [_count(row, self._ends) for row in tokens]
        texts = self.tokenizer.batch_decode(
            [row[:count] for row, count in zip(tokens, counts, strict=True)], skip_special_tokens=True
        )
        return [
            Answer(text, float(row[:count].mean()), count)
            for text, row, count in zip(texts, steps, counts, strict=True)
        ]

    @property
    def _ends(self) -> set[int]:
        ends: Any = self.model.generation_config.eos_token_id
        return set(ends) if isinstance(ends, list) else {ends}


class Entropies(LogitsProcessor):
    """Changes nothing and remembers each step's entropy of every row."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        logs = scores.float().log_softmax(-1)
        self.steps.append(-(logs.exp() * logs).sum(-1).cpu())
        return scores


def _count(row: torch.Tensor, ends: set[int]) -> int:
    """Tokens up to and with the first end."""
    for index, token in enumerate(row.tolist()):
        if token in ends:
            return index + 1
    return len(row)
