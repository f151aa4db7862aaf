"""verl's replay buffer, but rows stay in order, polling is quick, and a stop signal ends the waiting."""

from collections.abc import Callable
from typing import Any

from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer


class Stopped(Exception):
    """The stage was asked to stop while it waited for samples; the weights are still those of the last step."""


class OrderedBuffer(ReplayBuffer):
    """Gives a batch's rows by prompt, then by sample number, not in the order in which they were finished."""

    def __init__(self, stopping: Callable[[], bool], **kwargs: Any):
        super().__init__(poll_interval=0.1, **kwargs)
        self.stopping = stopping

    def _materialize_batch(self, partition_id: str, *args: Any) -> KVBatchMeta:
        batch = super()._materialize_batch(partition_id, *args)
        batch.reorder(sorted(range(len(batch.keys)), key=lambda place: sort_key(batch.keys[place])))
        return batch

    def _wait_for_next_poll(self, partition_id: str, last_debug_time: float) -> float:
        if partition_id == "train" and self.stopping():
            raise Stopped
        return super()._wait_for_next_poll(partition_id, last_debug_time)


def sort_key(key: str) -> tuple[str, int, int]:
    """`{uid}_{session}_{output}` as values that compare."""
    uid, session, output = key.rsplit("_", 2)
    return uid, int(session), int(output)
