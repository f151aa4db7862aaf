"""Sequences as tensors. What is padding is known by lengths, never by a token's value: any id may be a real token."""

from typing import NamedTuple

import torch

from recipes.honest_persona.dataset import Row


class Batch(NamedTuple):
    """Tensors of (sequences, length)."""

    tokens: torch.Tensor
    attention: torch.Tensor
    """1 at real tokens."""
    loss: torch.Tensor
    """1 where the prediction of the next token is learnt."""
    lora: torch.Tensor
    """1 where the adapter acts."""

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(tensor.to(device) for tensor in self))


def training_batch(rows: list[Row]) -> Batch:
    """The whole sequences, padded on the right."""
    length = max(len(row.tokens) for row in rows)
    sequences = [row.sequence for row in rows]
    return Batch(
        _stack([sequence.tokens for sequence in sequences], length),
        _stack([[1] * len(sequence.tokens) for sequence in sequences], length),
        _stack([sequence.loss_mask for sequence in sequences], length),
        _stack([sequence.lora_mask for sequence in sequences], length),
    )


def prompt_batch(rows: list[Row]) -> Batch:
    """The prompts, padded on the left, to be generated from."""
    sequences = [row.sequence for row in rows]
    length = max(sequence.prompt for sequence in sequences)
    return Batch(
        _stack([sequence.tokens[: sequence.prompt] for sequence in sequences], length, left=True),
        _stack([[1] * sequence.prompt for sequence in sequences], length, left=True),
        _stack([[0] * sequence.prompt for sequence in sequences], length, left=True),
        _stack([sequence.lora_mask[: sequence.prompt] for sequence in sequences], length, left=True),
    )


def learnt_part(batch: Batch) -> int:
    """How many positions at the end, of all sequences, hold everything that is learnt: the only ones that need
    logits."""
    first = int(batch.loss.any(0).nonzero()[0])
    return batch.tokens.shape[1] - first


def _stack(rows: list[list[int]], length: int, left: bool = False) -> torch.Tensor:
    gaps = [[0] * (length - len(row)) for row in rows]
    return torch.tensor([gap + row if left else row + gap for row, gap in zip(rows, gaps, strict=True)])
