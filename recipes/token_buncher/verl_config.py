"""A stage's settings as overrides of verl 0.9.1's configuration, each at the key that verl reads, and the keys that
settings speak for."""

from recipes.common.stage.inputs import TrainingInputs
from recipes.common.verl import config
from recipes.common.verl.config import ACTOR, MODEL, ROLLOUT, settings_of, stage_overrides
from recipes.common.verl.hardware import Hardware
from recipes.token_buncher.settings import Settings

DECIDED = config.DECIDED | {
    f"{MODEL}.use_fused_kernels": "the recipe's code: the token noiser reads logits, which fused kernels do not give",
    f"{ACTOR}.optim.lr": "`lr`",
    f"{ACTOR}.ppo_mini_batch_size": "`mini_batch`",
    f"{ACTOR}.ppo_epochs": "the recipe's code: a batch is learnt from once",
    f"{ACTOR}.ulysses_sequence_parallel_size": "the recipe's code: the token noiser reads whole sequences",
    f"{ACTOR}.use_kl_loss": "`kl`, which is in the reward",
    f"{ACTOR}.kl_loss_coef": "`kl`, which is in the reward",
    f"{ACTOR}.entropy_coeff": "the recipe's code: entropy is the reward",
    f"{ROLLOUT}.temperature": "the recipe's code: entropy is that of temperature 1",
    "critic.enable": "the recipe's code: GRPO has no critic",
    "algorithm.adv_estimator": "the recipe's code: it is GRPO",
    "algorithm.use_kl_in_reward": "`kl`",
    "algorithm.kl_ctrl.kl_coef": "`kl`",
    "trainer.total_training_steps": "`steps`",
}
"""What to change instead of overriding the key."""


def verl_overrides(settings: Settings, inputs: TrainingInputs, hardware: Hardware) -> list[str]:
    """hydra's overrides, of settings that fit the hardware (fit_to_gpu.py); the user's own come last."""
    values = settings_of(settings, inputs) | {
        "data.train_files": inputs.data / "train.parquet",
        "data.val_files": inputs.data / "test.parquet",
        f"{MODEL}.use_fused_kernels": False,
        f"{ACTOR}.optim.lr": settings.lr,
        f"{ACTOR}.ppo_mini_batch_size": settings.mini_batch,
        f"{ACTOR}.ppo_epochs": 1,
        f"{ACTOR}.ulysses_sequence_parallel_size": 1,
        f"{ACTOR}.use_kl_loss": False,
        f"{ACTOR}.entropy_coeff": 0.0,
        # In chunks it is computed in float32; else in bf16's steps of 1/64 nat, and the reward is made of it.
        f"{ACTOR}.entropy_from_logits_with_chunking": True,
        f"{ROLLOUT}.temperature": 1.0,
        "critic.enable": False,
        "algorithm.use_kl_in_reward": settings.kl > 0,
        "algorithm.kl_penalty": "kl",
        "algorithm.kl_ctrl.type": "fixed",
        "algorithm.kl_ctrl.kl_coef": settings.kl,
    }
    return stage_overrides(settings, inputs, hardware, values, DECIDED)
