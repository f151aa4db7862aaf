"""Diverse beam search (arXiv:1610.02424) with one beam a group: as many texts as groups, each unlike those before it.

transformers has it no more: since its version 5 it would come as code from the hub.
"""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Search:
    groups: int
    penalty: float
    """Taken off a token's log probability for each earlier group that has it in the same place."""
    max_tokens: int
    stop: tuple[int, ...]


@torch.inference_mode()
def diverse(model: Any, prompt: list[int], how: Search) -> list[list[int]]:
    """The ids of each group's text, without the one that ended it. The first group's is the greedy one."""
    pad = how.stop[0]
    ids = torch.tensor([prompt] * how.groups, device=model.device)
    stop = torch.tensor(how.stop, device=model.device)
    texts: list[list[int]] = [[] for _ in range(how.groups)]
    done, cache = torch.zeros(how.groups, dtype=torch.bool, device=model.device), None
    for _ in range(how.max_tokens):
        out = model(input_ids=ids, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        scores = out.logits[:, -1].float().log_softmax(-1)
        uses = torch.zeros_like(scores[0])
        chosen = torch.full((how.groups,), pad, device=model.device)
        for group in range(how.groups):
            if done[group]:
                continue
            chosen[group] = (scores[group] - how.penalty * uses).argmax()
            uses[chosen[group]] += 1
        done |= torch.isin(chosen, stop)
        for text, token, over in zip(texts, chosen.tolist(), done.tolist(), strict=True):
            if not over:
                text.append(token)
        if done.all():
            break
        ids = chosen[:, None]
    return texts
