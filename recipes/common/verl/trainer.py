"""One stage's training loop on verl's synchronous V1 trainer.

`SamplingTrainer` is verl's synchronous trainer, with rows and samples that depend on seed, step and weights alone.

verl's own `fit` saves before it validates, keeps its rotation in memory and knows no stop signal. This one runs

    for each step: train -> validate, if due -> report -> save, if due

in the stage's own process, and resumes so that the rest of the run equals the unbroken one's.
"""

import math
import shutil
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import ray
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.rl_dataset import collate_fn
from verl.utils.debug import marked_timer
from verl.utils.skip import SkipManager
from verl.utils.tracking import Tracking

from recipes.common.stage.command import Interrupted, Progress
from recipes.common.verl import checkpoints
from recipes.common.verl.batches import OrderedBuffer, Stopped, reply_metrics
from recipes.common.verl.row_order import rows_of_step
from recipes.common.verl.stage import Stage
from recipes.common.verl.workers import ActorWorker, CriticWorker


class SamplingTrainer(PPOTrainerSync):
    """Reads rows and has the rollout answer them. A subclass learns from the answers."""

    def __init__(self, config: DictConfig, stage: Stage, stopping: Callable[[], bool]):
        self.stage, self.stopping = stage, stopping
        super().__init__(config)

    def next_rows(self) -> TensorDict:
        """The rows of the current step, from the training data."""
        size, dataset = self.config.data.train_batch_size, self.train_dataset
        numbers = rows_of_step(self.global_steps, size, len(dataset), self.stage.settings.seed)
        return self._named(collate_fn([dataset[number] for number in numbers]), f"{self.global_steps:08d}")

    def generate(self, rows: TensorDict) -> KVBatchMeta:
        """Samples for each row (rollout.n of them) in TransferQueue, by row and sample number."""
        self._submit_batch_to_rollout(rows)
        batch, _ = self.replay_buffer.sample(self.global_steps, partition_id="train", batch_size=len(rows))
        batch.extra_info["temperature"] = self.config.actor_rollout_ref.rollout.temperature
        self.on_sample_end()
        return batch

    def generate_validation(self) -> list[tuple[list[int], dict[str, Any]]]:
        """The answer of the current weights to each validation row (val_kwargs: greedy) as tokens, and the row's
        fields."""
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
            for index, response in enumerate(data["responses"].unbind()):
                answers.append((response.tolist(), {name: values[index] for name, values in plain.items()}))
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
        rows["uid"] = np.array([f"{prefix}-{index:06d}" for index in range(len(rows["raw_prompt"]))], dtype=object)
        batch = tu.get_tensordict(rows)
        tu.assign_non_tensor_data(batch, "global_steps", self.global_steps)
        return batch


class StageTrainer(SamplingTrainer):
    """verl's trainer with a stage's loop. A recipe says what one step is (`train_step`) and how to validate."""

    columns: Mapping[str, str]
    """The console's columns: a metric -> its label."""

    def __init__(self, config: DictConfig, stage: Stage, progress: Progress, stopping: Callable[[], bool]):
        self.progress, self.unsound = progress, set()
        super().__init__(config, stage, stopping)

    def sample(self, rows: TensorDict) -> tuple[KVBatchMeta, dict[str, float]]:
        """`generate`'s samples, in an order that gives each rank about as many tokens; and their metrics."""
        with marked_timer("rollout", self.timing_raw):
            batch = self.generate(rows)
        batch = self._balance_batch(batch, metrics={})
        return batch, reply_metrics(batch, self.config.data.max_response_length)

    @abstractmethod
    def train_step(self) -> dict[str, float]:
        """Runs step `self.global_steps`; returns its metrics."""

    @abstractmethod
    def validate(self) -> tuple[dict[str, float], float]:
        """The current weights' metrics, and the one that chooses the best checkpoint (higher is better)."""

    def report(self, metrics: dict[str, float]) -> str:
        """The step's line on the console."""
        return "  ".join(f"{label} {metrics[name]:.4g}" for name, label in self.columns.items() if name in metrics)

    def fit(self, agent_loop_manager: Any) -> None:
        """Trains from the restored step to the last one; raises Interrupted after a stop signal and its checkpoint."""
        self.agent_loop_manager = agent_loop_manager
        self.curr_step_profile = False  # read by on_sample_end
        SkipManager.init(self.config)
        trainer = self.config.trainer
        settings = OmegaConf.to_container(self.config, resolve=True)
        self.logger = Tracking(trainer.project_name, trainer.experiment_name, list(trainer.logger), settings)
        while self.global_steps < self.stage.settings.steps:
            self._stop_if_asked()
            self.global_steps += 1
            try:
                self._run_step()
            except Stopped:
                self.global_steps -= 1
                self._stop_if_asked()

    def _run_step(self) -> None:
        step, settings, begin = self.global_steps, self.stage.settings, time.monotonic()
        self.timing_raw: dict[str, float] = {}
        metrics = self.train_step()
        self.on_step_end()
        metrics["seconds"] = time.monotonic() - begin
        metrics |= {f"seconds/{name}": seconds for name, seconds in self.timing_raw.items()}
        last, score = step == settings.steps, None
        if last or step % self.stage.validate_every == 0:
            self.on_validate_begin()
            validation, score = self.validate()
            self.on_validate_end()
            metrics |= validation
        metrics = self._sound({name: float(value) for name, value in metrics.items()})
        # Before the checkpoint: a kill in between has the step done and reported again, never left out.
        self.progress.step(step, settings.steps, metrics)
        self.logger.log(data=metrics, step=step)
        print(f"step {step}/{settings.steps}  {self.report(metrics)}", flush=True)
        if last or step % settings.save_every == 0:
            self.save(score)

    def save(self, score: float | None) -> None:
        """The checkpoint after the current step is complete on disk, and older ones are removed."""
        stage, folder = self.stage, checkpoints.folder_of(self.stage.work, self.global_steps)
        shutil.rmtree(folder, ignore_errors=True)
        for role, group in self._groups().items():
            group.save_checkpoint(str(folder / role), None, self.global_steps, max_ckpt_to_keep=None)
        checkpoints.complete(folder, stage.settings.mode, self.global_steps, stage.world_size, score)
        self.progress.checkpoint(folder.name, self.global_steps)
        checkpoints.prune(stage.work, stage.settings.keep_last)

    # What follows replaces parts of verl's trainer.

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        for role in self.role_worker_mapping:
            self.role_worker_mapping[role] = ray.remote(CriticWorker if role.name == "Critic" else ActorWorker)

    def _load_checkpoint(self) -> None:
        """Weights, optimizer, schedule and random state of `resume`; or of `start`, at step 0 on a new schedule."""
        resume, start = self.stage.resume, self.stage.start
        self.global_steps = resume.step if resume else 0
        folder = resume.folder if resume else start
        for role, group in self._groups().items() if folder else ():
            group.load_checkpoint(str(folder / role))
            if not resume:
                group.restart_schedule()

    def _groups(self) -> dict[str, Any]:
        return {"actor": self.actor_rollout_wg} | ({"critic": self.critic_wg} if self.use_critic else {})

    def _sound(self, metrics: dict[str, float]) -> dict[str, float]:
        """The finite metrics. A warning names others once: verl skips an update whose gradient is not finite."""
        for name in metrics:
            if not math.isfinite(metrics[name]) and name not in self.unsound:
                self.unsound.add(name)
                self.progress.warning(f"`{name}` is {metrics[name]} in step {self.global_steps}")
        return {name: value for name, value in metrics.items() if math.isfinite(value)}

    def _stop_if_asked(self) -> None:
        if not self.stopping():
            return
        if self.global_steps and not checkpoints.read(checkpoints.folder_of(self.stage.work, self.global_steps)):
            self.save(None)
        raise Interrupted(f"stopped after step {self.global_steps} of {self.stage.settings.steps}")
