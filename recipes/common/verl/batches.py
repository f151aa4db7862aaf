"""Rows that verl's own pipeline does not make, on their way to its workers through TransferQueue."""

from typing import Any

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta
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
    order = [place * group + member for share in shares for place in share for member in range(group)]
    keys = [f"{place:08d}_0_0" for place in range(len(rows))]
    tags = [{"seq_len": int(lengths[place])} for place in order]
    fields = tu.list_of_dict_to_tensordict([rows[place] for place in order])
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


def clear(batch: KVBatchMeta) -> None:
    """TransferQueue no longer holds the batch."""
    tq.kv_clear(keys=batch.keys, partition_id=batch.partition_id)


def get(batch: KVBatchMeta, *fields: str) -> Any:
    """The batch's fields, as a TensorDict."""
    return tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=list(fields))
