"""A stage's settings as overrides of verl 0.9.1's configuration, each at the key that verl reads, and the keys that
settings speak for."""

from dataclasses import dataclass
from pathlib import Path

from recipes.common.stage.command import Mistake
from recipes.common.verl.config import check_overrides, overrides_of
from recipes.common.verl.hardware import Hardware
from recipes.gad.settings import Settings

ACTOR, CRITIC, REF = "actor_rollout_ref.actor", "critic", "actor_rollout_ref.ref"
ROLLOUT, MODEL = "actor_rollout_ref.rollout", "actor_rollout_ref.model"

DECIDED = {
    "data.train_files": "the data stage",
    "data.val_files": "the data stage",
    "data.train_batch_size": "`train_batch`",
    "data.val_batch_size": "`val_batch`",
    "data.max_prompt_length": "`max_prompt_length`",
    "data.max_response_length": "`max_response_length`",
    "data.seed": "`seed`",
    f"{MODEL}.path": "the model stage",
    f"{CRITIC}.model.path": "the model stage",
    f"{ACTOR}.strategy": "nothing: checkpoints are FSDP2's",
    f"{CRITIC}.strategy": "nothing: checkpoints are FSDP2's",
    f"{ACTOR}.optim.lr": "`actor_lr`",
    f"{CRITIC}.optim.lr": "`critic_lr`",
    f"{ACTOR}.optim.clip_grad": "`grad_clip`",
    f"{CRITIC}.optim.clip_grad": "`grad_clip`",
    f"{ACTOR}.fsdp_config.param_offload": "`param_offload`",
    f"{ACTOR}.fsdp_config.optimizer_offload": "`optimizer_offload`",
    f"{CRITIC}.fsdp.param_offload": "`param_offload`",
    f"{CRITIC}.fsdp.optimizer_offload": "`optimizer_offload`",
    f"{ACTOR}.ppo_mini_batch_size": "`train_batch`: one mini batch a step",
    f"{CRITIC}.ppo_mini_batch_size": "`train_batch`: one mini batch a step",
    f"{ACTOR}.ppo_max_token_len_per_gpu": "`tokens_per_gpu`",
    f"{ACTOR}.use_kl_loss": "`kl_loss`",
    f"{ACTOR}.kl_loss_coef": "`kl_loss`",
    f"{ACTOR}.entropy_coeff": "`entropy`",
    f"{ROLLOUT}.name": "`rollout`",
    f"{ROLLOUT}.n": "`rollout_n`",
    f"{ROLLOUT}.seed": "`seed`",
    f"{ROLLOUT}.temperature": "`temperature`",
    f"{ROLLOUT}.tensor_model_parallel_size": "`rollout_tensor_parallel`",
    f"{ROLLOUT}.gpu_memory_utilization": "`gpu_memory_utilization`",
    f"{CRITIC}.enable": "`mode`",
    "algorithm.adv_estimator": "`mode`",
    "trainer.device": "`device`",
    "trainer.n_gpus_per_node": "`ranks`",
    "trainer.nnodes": "the job's nodes",
    "trainer.critic_warmup": "`critic_warmup`",
    "trainer.total_training_steps": "the epochs in the recipe",
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
    """The student, as Hugging Face folder."""
    data: Path
    """With train.parquet and val.parquet."""
    work: Path
    out: Path
    start: Path | None = None
    """The warmup stage's output; adversarial only."""
    reference: Path | None = None
    """Its actor as Hugging Face folder; adversarial only."""


def verl_overrides(settings: Settings, inputs: Inputs, hardware: Hardware, run_name: str) -> list[str]:
    """hydra's overrides; the user's own come last. A Mistake where the settings do not fit the hardware or verl."""
    _check_sizes(settings, hardware)
    mine = _settings(settings, inputs) | {
        "trainer.project_name": settings.wandb_project,
        "trainer.experiment_name": run_name,
        "trainer.logger": "[wandb]",
        "trainer.default_local_dir": inputs.work,
    }
    check_overrides(settings.verl_overrides, DECIDED)
    return [*overrides_of(mine), *hardware.overrides(), *settings.verl_overrides]


def _settings(settings: Settings, inputs: Inputs) -> dict[str, object]:
    student = inputs.reference or inputs.model
    adversarial = settings.mode == "adversarial"
    return {
        "data.train_files": inputs.data / "train.parquet",
        "data.val_files": inputs.data / "val.parquet",
        "data.train_batch_size": settings.train_batch,
        "data.val_batch_size": settings.val_batch,
        "data.max_prompt_length": settings.max_prompt_length,
        "data.max_response_length": settings.max_response_length,
        "data.filter_overlong_prompts": False,  # the data stage has shortened them
        "data.dataloader_num_workers": 0,
        "data.seed": settings.seed,
        # The reference policy is loaded from this path; the actor is too, and then gets its checkpoint.
        f"{MODEL}.path": student,
        f"{ACTOR}.strategy": "fsdp2",
        f"{ACTOR}.fsdp_config.seed": settings.seed,
        f"{ACTOR}.fsdp_config.param_offload": settings.param_offload,
        f"{ACTOR}.fsdp_config.optimizer_offload": settings.optimizer_offload,
        f"{REF}.fsdp_config.param_offload": settings.param_offload,
        f"{ACTOR}.optim.lr": settings.actor_lr,
        f"{ACTOR}.optim.clip_grad": settings.grad_clip,
        f"{ACTOR}.ppo_mini_batch_size": settings.train_batch,
        f"{ACTOR}.use_dynamic_bsz": True,
        f"{ACTOR}.ppo_max_token_len_per_gpu": settings.tokens_per_gpu,
        f"{ACTOR}.use_kl_loss": adversarial,
        f"{ACTOR}.kl_loss_coef": settings.kl_loss,
        f"{ACTOR}.kl_loss_type": "low_var_kl",
        f"{ACTOR}.entropy_coeff": settings.entropy,
        f"{ROLLOUT}.n": settings.rollout_n,
        f"{ROLLOUT}.seed": settings.seed,
        f"{ROLLOUT}.temperature": settings.temperature,
        f"{ROLLOUT}.tensor_model_parallel_size": settings.rollout_tensor_parallel,
        f"{ROLLOUT}.gpu_memory_utilization": settings.gpu_memory_utilization,
        # Sampling and training policy differ by rounding alone; verl would check that at every step.
        f"{ROLLOUT}.calculate_log_probs": False,
        f"{CRITIC}.enable": "critic" in settings.roles,
        f"{CRITIC}.strategy": "fsdp2",
        f"{CRITIC}.model.path": inputs.model,
        f"{CRITIC}.fsdp.seed": settings.seed,
        f"{CRITIC}.fsdp.param_offload": settings.param_offload,
        f"{CRITIC}.fsdp.optimizer_offload": settings.optimizer_offload,
        f"{CRITIC}.optim.lr": settings.critic_lr,
        f"{CRITIC}.optim.clip_grad": settings.grad_clip,
        f"+{CRITIC}.ppo_infer_max_token_len_per_gpu": pair_tokens(settings),
        "algorithm.adv_estimator": "grpo",
        "algorithm.use_kl_in_reward": False,
        "reward.num_workers": 0,  # StageTrainer.get_reward_handles
        "trainer.critic_warmup": settings.critic_warmup,
        "trainer.total_epochs": UNLIMITED_EPOCHS,
        "trainer.total_training_steps": settings.steps,
        "trainer.val_before_train": False,
    }


def pair_tokens(settings: Settings) -> int:
    """Tokens a GPU takes at once of the discriminator's pairs: a student's and a teacher's reply stay together."""
    return max(settings.tokens_per_gpu, 2 * settings.max_length)


def _check_sizes(settings: Settings, hardware: Hardware) -> None:
    world = hardware.world_size
    if settings.train_batch % world:
        raise Mistake(
            f"`train_batch` is `{settings.train_batch}`, which {world} training processes cannot share evenly",
            f"make it a multiple of {world}",
        )
    if world % settings.rollout_tensor_parallel:
        raise Mistake(
            f"`rollout_tensor_parallel` is `{settings.rollout_tensor_parallel}`, which does not divide the {world} "
            "training processes",
            f"make it a divisor of {world}",
        )
