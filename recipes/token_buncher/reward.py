"""The reward of the defence: minus the entropy of the answers."""

import torch


def entropy_reward(entropy: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(response tokens,) float32: minus the mean of `entropy` (nats) where `mask` is 1, at the last such token.

    All zeros where the mask is: a row that only fills up the batch.
    """
    real = mask.bool()
    return last_token(float(-entropy.float()[real].mean()) if real.any() else 0.0, mask)


def last_token(value: float, mask: torch.Tensor) -> torch.Tensor:
    """(response tokens,) float32: `value` at the last token where `mask` is 1, and nothing where it is nowhere."""
    score = torch.zeros(len(mask))
    if mask.any():
        score[int(mask.bool().nonzero()[-1])] = value
    return score


def spread(rewards: list[float], groups: list[str]) -> float:
    """The mean over the groups of the standard deviation in each: what a group-relative advantage can feed on."""
    by_group: dict[str, list[float]] = {}
    for reward, group in zip(rewards, groups, strict=True):
        by_group.setdefault(group, []).append(reward)
    deviations = [torch.tensor(values).std(correction=0) for values in by_group.values()]
    return float(torch.stack(deviations).mean())
