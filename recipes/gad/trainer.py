"""One step of generative adversarial distillation (arXiv:2511.10643) on verl.

The critic is the discriminator D. What a step does, by mode:

warmup        sample replies; D learns teacher over student; the actor learns the teacher's texts (SFT)
adversarial   sample replies; r = D(reply); GRPO advantages; D learns; the actor learns (clipped PPO + KL)
seqkd         the actor learns the teacher's texts; nothing is sampled but for validation
"""

from functools import partial
from statistics import fmean
from typing import Any

import ray
import torch
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.utils.debug import marked_timer
from verl.utils.metric import reduce_metrics
from verl.workers.utils.losses import sft_loss

from recipes.common.verl import batches
from recipes.common.verl.batches import actor_metrics
from recipes.common.verl.stage import read_history
from recipes.common.verl.trainer import StageTrainer
from recipes.gad.health import Watch
from recipes.gad.loss import bradley_terry, last_token_score, scored_row, sft_row, teacher_ids
from recipes.gad.metrics import COLUMNS, critic_metrics, rouge_l


@register_trainer("gad")
class GadTrainer(StageTrainer):
    """All three modes."""

    columns = COLUMNS

    def _setup(self) -> None:
        super()._setup()
        if self.use_critic:
            self.critic_wg.set_loss_fn(bradley_terry)
        if self.stage.settings.mode != "adversarial":
            self.actor_rollout_wg.set_loss_fn(partial(sft_loss, config=None))
        past = read_history(self.stage.work, self.global_steps)
        self.watch = Watch(self.stage.settings.mode, self.progress.warning, past.values())

    def train_step(self) -> dict[str, float]:
        """One step of the stage's mode."""
        rows = self.next_rows()
        metrics = {
            "warmup": self._warmup_step,
            "adversarial": self._adversarial_step,
            "seqkd": self._learn_teacher_texts,
        }[self.stage.settings.mode](rows)
        self.watch.see(metrics)
        return metrics

    def _warmup_step(self, rows: TensorDict) -> dict[str, float]:
        batch, metrics = self.sample(rows)
        with marked_timer("critic", self.timing_raw):
            metrics |= self._learn_to_discriminate(batch)
        # verl starts the actor *at* step critic_warmup; here the discriminator has that many steps alone (paper, A.2).
        if self.global_steps > self.config.trainer.critic_warmup:
            metrics |= self._learn_teacher_texts(rows)
        batches.clear(batch)
        return metrics

    def _adversarial_step(self, rows: TensorDict) -> dict[str, float]:
        batch, metrics = self.sample(rows)
        with marked_timer("old_log_prob", self.timing_raw):
            batch = self._compute_old_log_prob(batch, metrics)
        with marked_timer("reference", self.timing_raw):
            batch = self._compute_ref_log_prob(batch, metrics)
        with marked_timer("reward", self.timing_raw):
            metrics |= self._reward(batch)
        batch = self._compute_advantage(batch, metrics)
        with marked_timer("critic", self.timing_raw):
            metrics |= self._learn_to_discriminate(batch)
        if self.global_steps > self.config.trainer.critic_warmup:
            with marked_timer("actor", self.timing_raw):
                reported: dict[str, Any] = {}
                self._update_actor(batch, reported)
            metrics |= actor_metrics(reported)
        batches.clear(batch)
        return metrics

    def _learn_teacher_texts(self, rows: TensorDict) -> dict[str, float]:
        """SFT on each prompt's teacher text, once: the mean over n equal copies has the same gradient."""
        texts = [info["teacher_response"] for info in rows["extra_info"]]
        prompts = [self._prompt_ids(messages) for messages in rows["raw_prompt"]]
        pairs = zip(prompts, map(self._teacher_ids, texts), strict=True)
        with marked_timer("actor", self.timing_raw):
            sft_rows = [sft_row(prompt, teacher) for prompt, teacher in pairs]
            batch = batches.put(sft_rows, 1, self.stage.world_size, {"calculate_entropy": False})
            output = self.actor_rollout_wg.update_actor(batch)
        batches.clear(batch)
        return actor_metrics({f"actor/{name}": value for name, value in reduce_metrics(output["metrics"]).items()})

    def _learn_to_discriminate(self, batch: KVBatchMeta) -> dict[str, float]:
        """D's step on (student, teacher) pairs, one for every sample; the pairs that verl filled in weigh nothing."""
        data = batches.get(batch, "prompts", "responses", "extra_info")
        teachers: dict[str, torch.Tensor] = {}
        rows = []
        for index, tag in enumerate(batch.tags):
            text = data["extra_info"][index]["teacher_response"]
            if text not in teachers:
                teachers[text] = self._teacher_ids(text)
            prompt, student, real = data["prompts"][index], data["responses"][index], not tag.get("is_padding", False)
            rows += [scored_row(prompt, student, real), scored_row(prompt, teachers[text], real)]
        pairs = batches.put(rows, 2, self.stage.world_size, {"force_group_size": 2})
        output = self.critic_wg.train_mini_batch(pairs).get()
        batches.clear(pairs)
        return critic_metrics(reduce_metrics(output["metrics"]))

    def _reward(self, batch: KVBatchMeta) -> dict[str, float]:
        """Each reply's last token carries D(prompt, reply) as `rm_scores`; the other tokens, and filled-in rows, 0."""
        batch.extra_info |= {"compute_loss": False, "temperature": 1.0}
        ray.get(self.critic_wg.infer_batch(batch).futures)
        batch.extra_info["temperature"] = self.config.actor_rollout_ref.rollout.temperature
        data = batches.get(batch, "values", "response_mask")
        scores = [
            last_token_score(values, mask)
            for values, mask in zip(data["values"].unbind(), data["response_mask"].unbind(), strict=True)
        ]
        batches.put_scores(batch, scores)
        real = [float(score.sum()) for score, tag in zip(scores, batch.tags, strict=True) if not tag.get("is_padding")]
        return {"reward": fmean(real)}

    def validate(self) -> tuple[dict[str, float], float]:
        """ROUGE-L of greedy replies to the validation prompts; it also chooses the best checkpoint."""
        answers = self.generate_validation()
        texts = self.tokenizer.batch_decode([ids for ids, _ in answers], skip_special_tokens=True)
        teachers = [fields["reward_model"]["ground_truth"] for _, fields in answers]
        score = fmean(map(rouge_l, texts, teachers))
        return {"val/rouge_l": score, "val/response_length": fmean(len(ids) for ids, _ in answers)}, score

    # seqkd samples for its validation alone, so its weights go to the rollout only then.

    def on_init_end(self) -> None:
        if self.stage.settings.mode != "seqkd":
            super().on_init_end()

    def on_step_end(self) -> None:
        if self.stage.settings.mode != "seqkd":
            super().on_step_end()

    def on_validate_begin(self) -> None:
        if self.stage.settings.mode == "seqkd":
            self.checkpoint_manager.update_weights(self.global_steps)

    def on_validate_end(self) -> None:
        if self.stage.settings.mode == "seqkd":
            self.checkpoint_manager.sleep_replicas()

    def _prompt_ids(self, messages: list[dict[str, str]]) -> torch.Tensor:
        """As verl's agent loop makes them: the chat template with the assistant's header, cut from the left."""
        ids = self.tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)
        return torch.tensor(ids[-self.config.data.max_prompt_length :])

    def _teacher_ids(self, text: str) -> torch.Tensor:
        return teacher_ids(self.tokenizer, text, self.config.data.max_response_length)
