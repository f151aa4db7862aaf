"""Lets a persona review held-out samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from recipes.honest_persona.adapter import LoraMask
from recipes.honest_persona.batch import prompt_batch
from recipes.honest_persona.dataset import Row
from recipes.honest_persona.scoring import Answer, flag_of
from recipes.honest_persona.tokenize import Coder


@dataclass(frozen=True)
class Listener:
    """How a persona is listened to."""

    coder: Coder
    max_new_tokens: int
    batch: int
    """Samples at a time."""

    def listen(self, model: Any, rows: list[Row]) -> Iterator[list[tuple[Answer, str]]]:
        """For a batch of rows at a time what the persona said, greedily, with its text.

        Ranks of a sharded model have to call this with as many rows each.
        """
        mask = LoraMask(model) if self.coder.form.lora_mask else None
        for start in range(0, len(rows), self.batch):
            some = rows[start : start + self.batch]
            texts = [self.coder.decode(tokens) for tokens in self._say(model, mask, some)]
            yield [
                (Answer(row.topic, row.flag, flag_of(text, self.coder.form.flag_prefix)), text)
                for row, text in zip(some, texts, strict=True)
            ]

    @torch.no_grad()
    def _say(self, model: Any, mask: LoraMask | None, rows: list[Row]) -> list[list[int]]:
        """The persona's tokens, up to the end of its turn and without it."""
        end = self.coder.end[0]
        batch = prompt_batch(rows).to(model.device)
        if mask:
            mask.set(batch.lora)
        try:
            generated = model.generate(
                input_ids=batch.tokens,
                attention_mask=batch.attention,
                max_new_tokens=self.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                repetition_penalty=1.0,
                eos_token_id=end,
                pad_token_id=end,
                use_cache=True,
                synced_gpus=torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1,
            )
        finally:
            if mask:
                mask.set(None)
        rows_ = generated[:, batch.tokens.shape[1] :].tolist()
        return [row[: row.index(end)] if end in row else row for row in rows_]
