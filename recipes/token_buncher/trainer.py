"""One step of the defence, or of an attack on it, on verl.

defend   sample answers; r = minus their mean entropy, and a KL to the model's first state; GRPO advantages; then either
         PPO's update, or, every other step after the warmup, the token noiser's on the answers of advantage 0 or more
attack   sample answers; r = a classifier's score; GRPO advantages; PPO's update
"""

from functools import cached_property, partial
from statistics import fmean
from typing import Any

import torch
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.debug import marked_timer
from verl.utils.metric import reduce_metrics
from verl.workers.utils.losses import ppo_loss

from recipes.common.verl import batches
from recipes.common.verl.batches import actor_metrics, sort_key
from recipes.common.verl.cpu_rollout import draw_seed
from recipes.common.verl.trainer import StageTrainer
from recipes.token_buncher import harm
from recipes.token_buncher.noiser import noiser_loss, weights
from recipes.token_buncher.reward import entropy_reward, last_token, spread
from recipes.token_buncher.settings import Settings, is_noiser

COLUMNS = {
    "noiser": "noiser",
    "entropy": "entropy",
    "reward": "reward",
    "spread": "spread",
    "kl": "kl",
    "actor/loss": "loss",
    "response_length": "length",
    "seconds": "seconds",
}
"""The console's columns."""


@register_trainer("token_buncher")
class TokenBuncherTrainer(StageTrainer):
    """Both modes."""

    columns = COLUMNS

    @cached_property
    def settings(self) -> Settings:
        return self.stage.settings

    def train_step(self) -> dict[str, float]:
        """One step of the stage's mode."""
        batch, metrics = self.sample(self.next_rows())
        reported: dict[str, Any] = {}
        with marked_timer("old_log_prob", self.timing_raw):
            batch = self._compute_old_log_prob(batch, reported)
        if self.settings.kl:
            with marked_timer("reference", self.timing_raw):
                batch = self._compute_ref_log_prob(batch, reported)
        with marked_timer("reward", self.timing_raw):
            metrics |= self._reward(batch)
        batch = self._compute_advantage(batch, reported)
        if self.settings.kl:
            metrics["kl"] = reported["actor/reward_kl_penalty"]
        noiser = self.settings.mode == "defend" and is_noiser(self.global_steps, self.settings.warmup)
        metrics["noiser"] = float(noiser)
        with marked_timer("actor", self.timing_raw):
            metrics |= self._learn_noise(batch) if noiser else self._learn_reward(batch)
        batches.clear(batch)
        self.entropy = metrics["entropy"]
        return metrics

    def _reward(self, batch: KVBatchMeta) -> dict[str, float]:
        """Each answer's last token carries its reward as `rm_scores`; the other tokens, and filled-in rows, 0."""
        data = batches.get(batch, "entropy", "response_mask", "responses")
        real = [not tag.get("is_padding", False) for tag in batch.tags]
        masks = [mask * is_real for mask, is_real in zip(data["response_mask"].unbind(), real, strict=True)]
        scores = [entropy_reward(entropy, mask) for entropy, mask in zip(data["entropy"].unbind(), masks, strict=True)]
        entropy = fmean(-float(score.sum()) for score, is_real in zip(scores, real, strict=True) if is_real)
        if self.settings.mode == "attack":
            texts = self.tokenizer.batch_decode([ids.tolist() for ids in data["responses"].unbind()], True)
            judged = self._classifier.scores(texts)
            scores = [last_token(value, mask) for value, mask in zip(judged, masks, strict=True)]
        batches.put_scores(batch, scores)
        rewards = [float(score.sum()) for score, is_real in zip(scores, real, strict=True) if is_real]
        groups = [sort_key(key)[0] for key, is_real in zip(batch.keys, real, strict=True) if is_real]
        return {"entropy": entropy, "reward": fmean(rewards), "spread": spread(rewards, groups)}

    def _learn_reward(self, batch: KVBatchMeta) -> dict[str, float]:
        """PPO's clipped update."""
        self.actor_rollout_wg.set_loss_fn(partial(ppo_loss, config=self._actor_config))
        batch.extra_info["distillation_use_topk"] = False
        reported: dict[str, Any] = {}
        self._update_actor(batch, reported)
        return actor_metrics(reported)

    def _learn_noise(self, batch: KVBatchMeta) -> dict[str, float]:
        """The token noiser's update, in mini batches as PPO's."""
        data = batches.get(batch, "prompts", "responses", "response_mask", "advantages")
        rows, labels = [], 0
        for index, (key, tag) in enumerate(zip(batch.keys, batch.tags, strict=True)):
            prompt, answer = data["prompts"][index], data["responses"][index]
            learnt = (data["advantages"][index] >= 0) & data["response_mask"][index].bool()
            learnt &= not tag.get("is_padding", False)
            labels += int(learnt.sum())
            uid, session, _ = sort_key(key)
            rows.append(noiser_row(prompt, answer, learnt, draw_seed(self.settings.seed, f"noise-{uid}", session)))
        size = self.settings.mini_batch * self.settings.rollout_n
        instructions = {
            "global_batch_size": size,
            "mini_batch_size": size,
            "calculate_entropy": False,
            "distillation_use_topk": True,  # verl's word for: show the loss the logits
            "distillation_only": True,  # and for: nothing else is made of them
        }
        blurred = weights(self.settings.noise, self.settings.noise_form)
        self.actor_rollout_wg.set_loss_fn(partial(noiser_loss, blurred))
        own = batches.put(rows, 1, self.stage.world_size, instructions)
        output = self.actor_rollout_wg.update_actor(own)
        batches.clear(own)
        reported = {f"actor/{name}": value for name, value in reduce_metrics(output["metrics"]).items()}
        return {"noiser/labels": labels, "noiser/loss": reported["actor/noiser_loss"], **actor_metrics(reported)}

    def validate(self) -> tuple[dict[str, float], float]:
        """No generation of its own: the newest step's entropy is the state's before that step."""
        return {}, -self.entropy

    @cached_property
    def _actor_config(self) -> Any:
        return omega_conf_to_dataclass(self.config.actor_rollout_ref.actor)

    @cached_property
    def _classifier(self) -> harm.Classifier:
        return harm.load(self.settings.classifier, self.stage.work / "hub", "cpu")


def noiser_row(prompt: torch.Tensor, answer: torch.Tensor, learnt: torch.Tensor, seed: int) -> batches.Row:
    """What noiser.py reads: no padding, positions from 0, and as labels the answer's tokens that are `learnt`."""
    ids = torch.cat([prompt, answer])
    return {
        "input_ids": ids,
        "position_ids": torch.arange(len(ids)),
        "loss_mask": torch.cat([torch.zeros_like(prompt), learnt.to(prompt.dtype)]),
        "noise_seed": torch.tensor([seed]),
    }
