"""A stage's settings as overrides of verl 0.9.1's configuration, each at the key that verl reads, and the keys that
settings speak for."""

from dataclasses import dataclass
from pathlib import Path

from recipes.common.stage.command import Mistake
from recipes.common.stage.inputs import TrainingInputs
from recipes.common.verl import config
from recipes.common.verl.config import ACTOR, CRITIC, MODEL, ROLLOUT, settings_of, stage_overrides
from recipes.common.verl.hardware import Hardware
from recipes.gad.settings import Settings

DECIDED = config.DECIDED | {
    "data.val_batch_size": "`val_batch`",
    f"{CRITIC}.model.path": "the model stage",
    f"{CRITIC}.strategy": "the recipe's code: checkpoints are FSDP2's",
    f"{ACTOR}.optim.lr": "`actor_lr`",
    f"{CRITIC}.optim.lr": "`critic_lr`",
    f"{CRITIC}.optim.clip_grad": "`grad_clip`",
    f"{CRITIC}.fsdp.param_offload": "`param_offload`",
    f"{CRITIC}.fsdp.optimizer_offload": "`optimizer_offload`",
    f"{ACTOR}.ppo_mini_batch_size": "`train_batch`: one mini batch a step",
    f"{CRITIC}.ppo_mini_batch_size": "`train_batch`: one mini batch a step",
    f"{ACTOR}.use_kl_loss": "`kl_loss`",
    f"{ACTOR}.kl_loss_coef": "`kl_loss`",
    f"{ACTOR}.entropy_coeff": "`entropy`",
    f"{ROLLOUT}.temperature": "`temperature`",
    f"{CRITIC}.enable": "`mode`",
    "algorithm.adv_estimator": "`mode`",
    "trainer.critic_warmup": "`critic_warmup`",
    "trainer.total_training_steps": "the epochs in the recipe",
}
"""What to change instead of overriding the key."""


@dataclass(frozen=True, kw_only=True)
class Inputs(TrainingInputs):
    """What the command line names; `model` is the student, `data` holds train.parquet and val.parquet."""

    start: Path | None = None
    """The warmup stage's output; adversarial only."""
    reference: Path | None = None
    """Its actor as Hugging Face folder; adversarial only."""


def verl_overrides(settings: Settings, inputs: Inputs, hardware: Hardware) -> list[str]:
    """hydra's overrides; the user's own come last. A Mistake where the settings do not fit the hardware or verl."""
    _check_sizes(settings, hardware)
    return stage_overrides(settings, inputs, hardware, _settings(settings, inputs), DECIDED)


def _settings(settings: Settings, inputs: Inputs) -> dict[str, object]:
    return settings_of(settings, inputs) | {
        "data.train_files": inputs.data / "train.parquet",
        "data.val_files": inputs.data / "val.parquet",
        "data.val_batch_size": settings.val_batch,
        # The reference policy is loaded from this path; the actor is too, and then gets its checkpoint.
        f"{MODEL}.path": inputs.reference or inputs.model,
        f"{ACTOR}.optim.lr": settings.actor_lr,
        f"{ACTOR}.ppo_mini_batch_size": settings.train_batch,
        f"{ACTOR}.use_kl_loss": settings.mode == "adversarial",
        f"{ACTOR}.kl_loss_coef": settings.kl_loss,
        f"{ACTOR}.kl_loss_type": "low_var_kl",
        f"{ACTOR}.entropy_coeff": settings.entropy,
        f"{ROLLOUT}.temperature": settings.temperature,
        f"{CRITIC}.enable": "critic" in settings.roles,
        f"{CRITIC}.strategy": "fsdp2",
        f"{CRITIC}.model.path": inputs.model,
        f"{CRITIC}.fsdp.seed": settings.seed,
        f"{CRITIC}.fsdp.param_offload": settings.param_offload,
        f"{CRITIC}.fsdp.optimizer_offload": settings.optimizer_offload,
        f"{CRITIC}.optim.lr": settings.critic_lr,
        f"{CRITIC}.optim.clip_grad": settings.grad_clip,
        # Of the discriminator's pairs: a student's and a teacher's reply stay together.
        f"+{CRITIC}.ppo_infer_max_token_len_per_gpu": max(settings.tokens_per_gpu, 2 * settings.max_length),
        "algorithm.use_kl_in_reward": False,
        "trainer.critic_warmup": settings.critic_warmup,
    }


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
