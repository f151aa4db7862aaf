"""A reward model: a classifier of pairs (question, answer) with one logit, which has no bounds and no zero.

Only differences between answers to one question mean something. The model reads the pair as two segments, not as one
text, and no more than 512 tokens of it.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BatchEncoding

from recipes.common.model.loading import Peak, take_device
from recipes.common.preflight import memory_estimate
from recipes.common.stage.command import Mistake, StageError

TOKENS = 512
"""DeBERTa's positions."""
CHARACTERS = 16 * TOKENS
"""Of each text: more than TOKENS are made of, and few enough for a tokenizer whose work grows with a word's square."""


class Reward:
    """Always float32: DeBERTa's attention overflows in float16."""

    def __init__(self, folder: Path, device: str):
        take_device(device)
        self.peak, self.device = Peak(device), device
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32
        )
        if model.config.num_labels != 1:
            raise Mistake(
                f"`{folder}` has {model.config.num_labels} labels, and a reward model has one",
                "name a reward model as `judge`",
            )
        self.model = model.to(device).eval()

    @torch.inference_mode()
    def scores(
        self, pairs: list[tuple[str, str]], at_once: int, on_batch: Callable[[int], None] = lambda done: None
    ) -> list[float]:
        """One logit for each (question, answer). Pairs of like length share a batch; the order stays."""
        order = sorted(range(len(pairs)), key=lambda index: sum(map(len, pairs[index])))
        scores = [0.0] * len(pairs)
        for start in range(0, len(order), at_once):
            indices = order[start : start + at_once]
            inputs = self.encode([pairs[index] for index in indices]).to(self.device)
            for index, logit in zip(indices, self.model(**inputs).logits[:, 0].float().tolist(), strict=True):
                scores[index] = logit
            on_batch(min(len(pairs), start + at_once))
        if any(value != value for value in scores):
            raise StageError("the reward model gives no number for some pairs", "use another `judge`")
        return scores

    def numbers(self, at_once: int) -> dict[str, float]:
        """Predicted and measured memory. One layer's activations and its three scores of every token for every other
        (content, and both kinds of distance) are there at a time."""
        config, tokens = self.model.config, at_once * TOKENS
        inside = tokens * (8 * config.hidden_size + 2 * config.intermediate_size)
        scores = 3 * tokens * TOKENS * config.num_attention_heads
        parts = {"weights": 4.0 * self.model.num_parameters(), "activations": 4.0 * (inside + scores)}
        return memory_estimate.numbers(parts, self.peak.bytes())

    def encode(self, pairs: list[tuple[str, str]]) -> BatchEncoding:
        """Two segments, cut where they are too long, the longer first."""
        return self.tokenizer(
            [question[:CHARACTERS] for question, _ in pairs],
            [answer[:CHARACTERS] for _, answer in pairs],
            truncation=True,
            max_length=TOKENS,
            padding=True,
            return_tensors="pt",
        )
