"""The discriminator's Bradley-Terry loss, in the form verl's engine calls, and token rows as the losses read them."""

from typing import Any

import torch
import torch.nn.functional as F
from tensordict import TensorDict
from verl.utils.metric import AggregationType, Metric

Row = dict[str, torch.Tensor]


def bradley_terry(
    model_output: dict[str, torch.Tensor], data: TensorDict, dp_group: Any = None
) -> tuple[torch.Tensor, dict[str, Metric]]:
    """-log sigmoid(D(teacher) - D(student)), this micro batch's share of the mean over all pairs of all ranks.

    Rows come in pairs, a student's and then the teacher's reply to the same prompt, which force_group_size=2 keeps in
    one micro batch. `values` is ragged (rows, tokens); `loss_mask`, of the same shape, is 1 at a reply's last token,
    where the score is read, and 0 everywhere in the pairs that only fill up the batch. verl counts the ones over all
    ranks (batch_num_tokens), sums the micro batches and averages over the ranks, hence the factor dp_size.
    """
    values = model_output["values"].values()
    scores = values[data["loss_mask"].values().bool()].float()
    student, teacher = scores[0::2], scores[1::2]
    share = 2 / data["batch_num_tokens"] * data["dp_size"]
    # A micro batch of filling pairs alone still takes part in the ranks' collectives, with a gradient of zero.
    loss = -F.logsigmoid(teacher - student).sum() * share + 0.0 * values.float().sum()
    sums = {
        "d_loss": loss,
        "d_acc": (teacher > student).sum() * share,
        "student_value": student.sum() * share,
        "teacher_value": teacher.sum() * share,
    }
    return loss, {name: Metric(AggregationType.SUM, total.detach()) for name, total in sums.items()}


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
