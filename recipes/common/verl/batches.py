"""Rows on their way through TransferQueue: those that verl's own pipeline does not make, and its sampled replies."""

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.utils import tensordict_utils as tu
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions

Row = dict[str, torch.Tensor]
"""One sequence: its tokens, and whatever else of the same length a loss reads."""

PARTITION = "stage"
"""TransferQueue's name for where they lie."""


def put(rows: list[Row], group: int, ranks: int, instructions: dict[str, Any]) -> KVBatchMeta:
    """The rows for one update with `instructions`; all are one mini batch unless these say otherwise.

    Their order gives each rank about as many tokens; `group` rows that follow each other stay together.
    """
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    work = calculate_workload(lengths).view(-1, group).sum(1).tolist()
    shares = get_seqlen_balanced_partitions(work, ranks, equal_size=True)
    order = [block * group + member for share in shares for block in share for member in range(group)]
    keys = [f"{index:08d}_0_0" for index in range(len(rows))]
    tags = [{"seq_len": int(lengths[index])} for index in order]
    fields = tu.list_of_dict_to_tensordict([rows[index] for index in order])
    tq.kv_batch_put(keys=keys, partition_id=PARTITION, fields=fields, tags=tags)
    batch = KVBatchMeta(partition_id=PARTITION, keys=keys, tags=tags)
    batch.extra_info |= {
        "global_batch_size": len(rows),
        "mini_batch_size": len(rows),
        "epochs": 1,
        "seed": 0,  # of a shuffle that is off
        "dataloader_kwargs": {"shuffle": False},
        "temperature": 1.0,
        **instructions,
    }
    return batch


def put_scores(batch: KVBatchMeta, scores: list[torch.Tensor]) -> None:
    """The batch has the scores of its response tokens, row by row, as `rm_scores`: verl's rewards."""
    fields = tu.get_tensordict({"rm_scores": torch.nested.as_nested_tensor(scores, layout=torch.jagged)})
    tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)


def clear(batch: KVBatchMeta) -> None:
    """TransferQueue no longer holds the batch."""
    tq.kv_clear(keys=batch.keys, partition_id=batch.partition_id)


def get(batch: KVBatchMeta, *fields: str) -> Any:
    """The batch's fields, as a TensorDict."""
    return tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=list(fields))


class Stopped(Exception):
    """The stage was asked to stop while it waited for samples; the weights are still those of the last step."""


class OrderedBuffer(ReplayBuffer):
    """verl's buffer, with a batch's rows in the order of prompts and sample numbers instead of the order in which they
    were finished. It polls often, and a stop signal ends the wait."""

    def __init__(self, stopping: Callable[[], bool], **kwargs: Any):
        super().__init__(poll_interval=0.1, **kwargs)
        self.stopping = stopping

    def _materialize_batch(self, partition_id: str, *args: Any) -> KVBatchMeta:
        batch = super()._materialize_batch(partition_id, *args)
        batch.reorder(sorted(range(len(batch.keys)), key=lambda index: sort_key(batch.keys[index])))
        return batch

    def _wait_for_next_poll(self, partition_id: str, last_debug_time: float) -> float:
        if partition_id == "train" and self.stopping():
            raise Stopped
        return super()._wait_for_next_poll(partition_id, last_debug_time)


def sort_key(key: str) -> tuple[str, int, int]:
    """`{uid}_{session}_{output}` as values that compare."""
    uid, session, output = key.rsplit("_", 2)
    return uid, int(session), int(output)


def actor_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The actor's metrics, from verl's names that start with `actor/`."""
    names = {
        "actor/loss": "actor/loss",
        "actor/grad_norm": "actor/grad_norm",
        "actor/lr": "actor/lr",
        "actor/kl_loss": "actor/kl",
        "actor/pg_clipfrac": "actor/clipped",
    }
    return {label: metrics[name] for name, label in names.items() if name in metrics}


def reply_metrics(batch: KVBatchMeta, limit: int) -> dict[str, float]:
    """Tokens of the sampled replies, and the share that was cut at `limit`."""
    lengths = [tag["response_len"] for tag in batch.tags if not tag.get("is_padding", False)]
    return {
        "response_length": fmean(lengths),
        "response_length/max": max(lengths),
        "response_length/cut": fmean(length >= limit for length in lengths),
    }
