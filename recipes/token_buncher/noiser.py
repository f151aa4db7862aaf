"""The token noiser: cross-entropy on the model's own words against a target that is blurred by random noise.

The target of a token gives its own word `1 - epsilon` and spreads `epsilon` over all other words in proportion to
fresh draws from U(0, 1), so that what is left of the tail says nothing.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from tensordict import TensorDict
from verl.utils.metric import AggregationType, Metric

CHUNK = 256
"""Tokens whose noise is in memory at once: 155 MB in float32 for a vocabulary of 152 K."""


class Weights(NamedTuple):
    """What the target gives to the token's own word, and to the noise."""

    label: float
    noise: float


def weights(epsilon: float, form: str) -> Weights:
    """The paper's, or those of the authors' code, which applies epsilon twice: its noise weighs epsilon squared."""
    return Weights(1 - epsilon, epsilon if form == "paper" else epsilon * epsilon)


def noiser_loss(
    weights: Weights,
    model_output: dict[str, torch.Tensor] | None = None,
    data: TensorDict | None = None,
    dp_group: Any = None,
    student_logits: torch.Tensor | None = None,
) -> Any:
    """verl's engine calls it twice (`distillation_use_topk`): with the logits for a number at every place, then for the
    loss: this micro batch's share of the mean over all labels of the mini batch, on all ranks.

    `loss_mask` is 1 at the tokens that are labels; verl counts them over all ranks (batch_num_tokens) and averages over
    the ranks, hence the factor dp_size. `noise_seed` of a row decides its draws.
    """
    ids, mask = data["input_ids"], data["loss_mask"]
    # The logits at a place are about the token after it; the last place of a row is before no label of its own.
    labelled = torch.roll(mask.values(), -1).bool()
    if student_logits is not None:
        labels = torch.roll(ids.values(), -1)
        positions = _positions(labelled, ids.offsets())
        rows = [Row(own, int(seed)) for own, seed in zip(positions, data["noise_seed"].unbind(), strict=True)]
        return {"noiser": BlurredCrossEntropy.apply(student_logits[0], labels, rows, weights).unsqueeze(0)}
    losses = model_output["noiser"].values()
    share = data["dp_size"] / max(1, data["batch_num_tokens"])
    loss = (losses * labelled).sum() * share
    return loss, {"noiser_loss": Metric(AggregationType.SUM, loss.detach())}


class Row(NamedTuple):
    """The labelled positions of a sequence, in the flattened batch, and the seed of its noise."""

    positions: torch.Tensor
    seed: int


class BlurredCrossEntropy(torch.autograd.Function):
    """(positions,) float32: the cross-entropy at each labelled position, 0 elsewhere.

    Neither the noise nor a softmax is kept: the backward draws and computes them again, a chunk at a time.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, labels: torch.Tensor, rows: list[Row], weights: Weights
    ) -> torch.Tensor:
        ctx.save_for_backward(logits, labels)
        ctx.rows, ctx.weights = rows, weights
        losses = logits.new_zeros(len(logits), dtype=_precise(logits))
        for positions, noise in _chunks(rows, logits):
            scores, label = logits[positions].to(losses.dtype), labels[positions]
            noise = _over_others(noise, label)
            normal = scores.logsumexp(-1)
            own = normal - scores.gather(-1, label[:, None])[:, 0]
            losses[positions] = weights.label * own + weights.noise * (normal - (noise * scores).sum(-1))
        return losses

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        logits, labels = ctx.saved_tensors
        slopes = torch.zeros_like(logits)
        for positions, noise in _chunks(ctx.rows, logits):
            label = labels[positions]
            target = _over_others(noise, label).mul_(ctx.weights.noise)
            target.scatter_add_(-1, label[:, None], torch.full_like(target[:, :1], ctx.weights.label))
            slope = logits[positions].to(target.dtype).softmax(-1).mul_(sum(ctx.weights)).sub_(target)
            slopes[positions] = (slope * grad[positions, None]).to(slopes.dtype)
        return slopes, None, None, None


def _chunks(rows: list[Row], logits: torch.Tensor) -> Any:
    """Positions and uniform draws for them, (positions, vocabulary); the same for the same seeds, however often."""
    for row in rows:
        draws = torch.Generator(logits.device).manual_seed(row.seed)
        for positions in row.positions.split(CHUNK):
            size = (len(positions), logits.shape[-1])
            yield positions, torch.rand(size, generator=draws, dtype=_precise(logits), device=logits.device)


def _over_others(noise: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """The draws as weights of all words but the label, which sum to 1."""
    noise.scatter_(-1, label[:, None], 0.0)
    return noise.div_(noise.sum(-1, keepdim=True).clamp_min(torch.finfo(noise.dtype).tiny))


def _positions(labelled: torch.Tensor, offsets: torch.Tensor) -> list[torch.Tensor]:
    """Of each row, where `labelled` is true."""
    bounds = offsets.tolist()
    return [labelled[start:end].nonzero()[:, 0] + start for start, end in pairwise(bounds)]


def _precise(logits: torch.Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)
