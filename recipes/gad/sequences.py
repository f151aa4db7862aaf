"""Token rows as verl's engine and this recipe's losses read them."""

from typing import Any

import torch

Row = dict[str, torch.Tensor]


def teacher_ids(tokenizer: Any, text: str, limit: int) -> torch.Tensor:
    """The text's tokens and the end token; without it where the text is cut at `limit` tokens."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return torch.tensor([*ids, tokenizer.eos_token_id][:limit])


def sft_row(prompt: torch.Tensor, teacher: torch.Tensor) -> Row:
    """What verl's sft_loss reads: the loss is on the teacher's tokens."""
    return _row(prompt, teacher, torch.cat([torch.zeros_like(prompt), torch.ones_like(teacher)]))


def scored_row(prompt: torch.Tensor, reply: torch.Tensor, real: bool) -> Row:
    """What `bradley_terry` reads: the score is at the last token; none in a row that only fills up the batch."""
    mask = torch.zeros(len(prompt) + len(reply), dtype=torch.int64)
    mask[-1] = int(real)
    return _row(prompt, reply, mask)


def _row(prompt: torch.Tensor, reply: torch.Tensor, loss_mask: torch.Tensor) -> Row:
    ids = torch.cat([prompt, reply])
    return {"input_ids": ids, "position_ids": torch.arange(len(ids)), "loss_mask": loss_mask}


def last_token_score(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(response tokens,) in float32: the sequence's last value at the last token, where `mask` is 1 there."""
    score = torch.zeros(len(mask))
    score[-1] = values[-1].float() * mask[-1]
    return score
