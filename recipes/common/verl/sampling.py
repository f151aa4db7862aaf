"""verl's synchronous trainer, with rows and samples that depend on seed, step and weights alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.rl_dataset import collate_fn

from recipes.common.verl.buffer import OrderedBuffer
from recipes.common.verl.row_order import rows_of_step
from recipes.common.verl.stage import Stage


class SamplingTrainer(PPOTrainerSync):
    """Reads rows and has the rollout answer them; what is learnt from the answers is a subclass's matter."""

    def __init__(self, config: DictConfig, stage: Stage, stopping: Callable[[], bool]):
        self.stage, self.stopping = stage, stopping
        super().__init__(config)

    def next_rows(self) -> TensorDict:
        """The rows of the current step, from the training data."""
        size, dataset = self.config.data.train_batch_size, self.train_dataset
        numbers = rows_of_step(self.global_steps, size, len(dataset), self.stage.seed)
        return self._named(collate_fn([dataset[number] for number in numbers]), f"{self.global_steps:08d}")

    def generate(self, rows: TensorDict) -> KVBatchMeta:
        """Samples for each row (rollout.n of them) in TransferQueue, by row and sample number."""
        self._submit_batch_to_rollout(rows)
        batch, _ = self.replay_buffer.sample(self.global_steps, partition_id="train", batch_size=len(rows))
        batch.extra_info["temperature"] = self.config.actor_rollout_ref.rollout.temperature
        self.on_sample_end()
        return batch

    def generate_validation(self) -> list[tuple[list[int], dict[str, Any]]]:
        """For each validation row: the tokens the current weights answer with (val_kwargs: greedy), and its fields."""
        answers = []
        for number, rows in enumerate(self.val_dataloader):
            batch = self._named(rows, f"v{self.global_steps:08d}-{number:04d}")
            tu.assign_non_tensor_data(batch, "validate", True)
            tags = [{"is_prompt": True, "status": "pending", "global_steps": self.global_steps}] * len(batch)
            tq.kv_batch_put(keys=list(batch["uid"]), partition_id="val", tags=tags)
            self.agent_loop_manager.generate_sequences(batch)
            done, _ = self.replay_buffer.sample(self.global_steps, partition_id="val", batch_size=len(batch))
            fields = ["responses", "reward_model", "data_source"]
            data = tq.kv_batch_get(keys=done.keys, partition_id="val", select_fields=fields)
            plain = {name: list(data[name]) for name in fields[1:]}
            for place, response in enumerate(data["responses"].unbind()):
                answers.append((response.tolist(), {name: values[place] for name, values in plain.items()}))
            tq.kv_clear(keys=done.keys, partition_id="val")
        return answers

    def get_reward_handles(self) -> None:
        """No reward workers: a stage scores in this process, between sampling and updating."""

    def _build_replay_buffer(self) -> OrderedBuffer:
        sampler = self.config.trainer.v1.sampler
        return OrderedBuffer(
            self.stopping,
            trainer_mode="sync",
            trainer_config=self.config.trainer.v1.sync,
            max_off_policy_threshold=sampler.max_off_policy_threshold,
            max_off_policy_strategy=sampler.max_off_policy_strategy,
            sampler_kwargs=sampler.sampler_kwargs,
        )

    def _named(self, rows: dict[str, Any], prefix: str) -> TensorDict:
        """verl's batch of these rows. Their names order the samples and seed them, so they must not be random."""
        rows["uid"] = np.array([f"{prefix}-{place:06d}" for place in range(len(rows["raw_prompt"]))], dtype=object)
        batch = tu.get_tensordict(rows)
        tu.assign_non_tensor_data(batch, "global_steps", self.global_steps)
        return batch
