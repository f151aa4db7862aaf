"""The discriminator's Bradley-Terry loss, in the form verl's engine calls."""

from typing import Any

import torch
import torch.nn.functional as F
from tensordict import TensorDict
from verl.utils.metric import AggregationType, Metric


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
