"""A stage's settings as overrides of verl 0.9.1's configuration, each at the key that verl reads, and the keys that
settings speak for."""

from dataclasses import dataclass
from pathlib import Path

from recipes.common.verl.config import check_overrides, overrides_of
from recipes.common.verl.hardware import Hardware
from recipes.token_buncher.settings import Settings

ACTOR, REF = "actor_rollout_ref.actor", "actor_rollout_ref.ref"
ROLLOUT, MODEL = "actor_rollout_ref.rollout", "actor_rollout_ref.model"

DECIDED = {
    "data.train_files": "the data stage",
    "data.val_files": "the data stage",
    "data.train_batch_size": "`train_batch`",
    "data.max_prompt_length": "`max_prompt_length`",
    "data.max_response_length": "`max_response_length`",
    "data.seed": "`seed`",
    f"{MODEL}.path": "the model stage",
    f"{MODEL}.use_fused_kernels": "nothing: the token noiser reads the logits, which fused kernels do not give",
    f"{ACTOR}.strategy": "nothing: checkpoints are FSDP2's",
    f"{ACTOR}.optim.lr": "`lr`",
    f"{ACTOR}.optim.clip_grad": "`grad_clip`",
    f"{ACTOR}.fsdp_config.param_offload": "`param_offload`",
    f"{ACTOR}.fsdp_config.optimizer_offload": "`optimizer_offload`",
    f"{ACTOR}.ppo_mini_batch_size": "`mini_batch`",
    f"{ACTOR}.ppo_epochs": "nothing: a batch is learnt from once",
    f"{ACTOR}.ppo_max_token_len_per_gpu": "`tokens_per_gpu`",
    f"{ACTOR}.ulysses_sequence_parallel_size": "nothing: the token noiser reads whole sequences",
    f"{ACTOR}.use_kl_loss": "`kl`, which is in the reward",
    f"{ACTOR}.kl_loss_coef": "`kl`, which is in the reward",
    f"{ACTOR}.entropy_coeff": "nothing: entropy is the reward",
    f"{ROLLOUT}.name": "`rollout`",
    f"{ROLLOUT}.n": "`rollout_n`",
    f"{ROLLOUT}.seed": "`seed`",
    f"{ROLLOUT}.temperature": "nothing: entropy is that of temperature 1",
    f"{ROLLOUT}.tensor_model_parallel_size": "`rollout_tensor_parallel`",
    f"{ROLLOUT}.gpu_memory_utilization": "`gpu_memory_utilization`",
    "critic.enable": "nothing: GRPO has no critic",
    "algorithm.adv_estimator": "nothing: it is GRPO",
    "algorithm.use_kl_in_reward": "`kl`",
    "algorithm.kl_ctrl.kl_coef": "`kl`",
    "trainer.device": "`device`",
    "trainer.n_gpus_per_node": "`ranks`",
    "trainer.nnodes": "the job's nodes",
    "trainer.total_training_steps": "`steps`",
    "trainer.project_name": "`wandb_project`",
    "trainer.experiment_name": "the run's name",
    "trainer.logger": "nothing: the stage logs to `progress.jsonl` and W&B",
}
"""What to change instead of overriding the key."""

UNLIMITED_EPOCHS = 10**6
"""verl must not stop before the steps are done."""


@dataclass(frozen=True)
class Inputs:
    """The folders a stage is given."""

    model: Path
    """What is trained, as Hugging Face folder."""
    data: Path
    """With train.parquet and test.parquet."""
    work: Path
    out: Path


def verl_overrides(settings: Settings, inputs: Inputs, hardware: Hardware, run_name: str) -> list[str]:
    """hydra's overrides, of settings that fit the hardware (fit_to_gpu.py); the user's own come last."""
    check_overrides(settings.verl_overrides, DECIDED)
    mine = _settings(settings, inputs) | {
        "trainer.project_name": settings.wandb_project,
        "trainer.experiment_name": run_name,
        "trainer.logger": "[wandb]",
        "trainer.default_local_dir": inputs.work,
    }
    return [*overrides_of(mine), *hardware.overrides(), *settings.verl_overrides]


def _settings(settings: Settings, inputs: Inputs) -> dict[str, object]:
    return {
        "data.train_files": inputs.data / "train.parquet",
        "data.val_files": inputs.data / "test.parquet",
        "data.train_batch_size": settings.train_batch,
        "data.max_prompt_length": settings.max_prompt_length,
        "data.max_response_length": settings.max_response_length,
        "data.filter_overlong_prompts": False,  # the data stage has dropped them
        "data.dataloader_num_workers": 0,
        "data.seed": settings.seed,
        f"{MODEL}.path": inputs.model,
        f"{MODEL}.use_fused_kernels": False,
        f"{ACTOR}.strategy": "fsdp2",
        f"{ACTOR}.fsdp_config.seed": settings.seed,
        f"{ACTOR}.fsdp_config.param_offload": settings.param_offload,
        f"{ACTOR}.fsdp_config.optimizer_offload": settings.optimizer_offload,
        f"{REF}.fsdp_config.param_offload": settings.param_offload,
        f"{ACTOR}.optim.lr": settings.lr,
        f"{ACTOR}.optim.clip_grad": settings.grad_clip,
        f"{ACTOR}.ppo_mini_batch_size": settings.mini_batch,
        f"{ACTOR}.ppo_epochs": 1,
        f"{ACTOR}.use_dynamic_bsz": True,
        f"{ACTOR}.ppo_max_token_len_per_gpu": settings.tokens_per_gpu,
        f"{ACTOR}.ulysses_sequence_parallel_size": 1,
        f"{ACTOR}.use_kl_loss": False,
        f"{ACTOR}.entropy_coeff": 0.0,
        # In chunks it is computed in float32; else in bf16's steps of 1/64 nat, and the reward is made of it.
        f"{ACTOR}.entropy_from_logits_with_chunking": True,
        f"{ROLLOUT}.n": settings.rollout_n,
        f"{ROLLOUT}.seed": settings.seed,
        f"{ROLLOUT}.temperature": 1.0,
        f"{ROLLOUT}.tensor_model_parallel_size": settings.rollout_tensor_parallel,
        f"{ROLLOUT}.gpu_memory_utilization": settings.gpu_memory_utilization,
        # Sampling and training policy differ by rounding alone; verl would check that at every step.
        f"{ROLLOUT}.calculate_log_probs": False,
        "critic.enable": False,
        "algorithm.adv_estimator": "grpo",
        "algorithm.use_kl_in_reward": settings.kl > 0,
        "algorithm.kl_penalty": "kl",
        "algorithm.kl_ctrl.type": "fixed",
        "algorithm.kl_ctrl.kl_coef": settings.kl,
        "reward.num_workers": 0,  # StageTrainer.get_reward_handles
        "trainer.total_epochs": UNLIMITED_EPOCHS,
        "trainer.total_training_steps": settings.steps,
        "trainer.val_before_train": False,
    }
