"""The settings arrive where verl reads them."""

from dataclasses import replace
from pathlib import Path

import pytest

from recipes.common.stage.command import Mistake
from recipes.common.stage.inputs import TrainingInputs
from recipes.common.verl.hardware import Hardware
from recipes.token_buncher.fit_to_gpu import Gpu, fill_sizes
from recipes.token_buncher.settings import Settings
from recipes.token_buncher.verl_config import DECIDED, verl_overrides

from .test_settings import VALUES

GPUS = Hardware("cuda", "vllm", 2)


def sized(**changed) -> Settings:
    return fill_sizes(Settings(**VALUES | changed), GPUS, Gpu("H100", 80 * 10**9), 151936)


def composed(given: Settings, model: Path, hardware=GPUS):
    from recipes.common.verl.config import compose_config

    folders = {"data": Path("/run/it's/data"), "work": Path("/run/it's/work"), "out": Path("/run/out")}
    inputs = TrainingInputs(settings=Path("/run/settings"), model=model, **folders)
    return compose_config(verl_overrides(given, inputs, hardware))


@pytest.mark.usefixtures("verl")
def test_the_defence_arrives_where_verl_reads_it(model):
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    config = composed(sized(), model)
    validate_config(config, need_reference_policy(config), need_critic(config))
    parts = config.actor_rollout_ref
    assert need_reference_policy(config) and not need_critic(config)
    assert config.algorithm.adv_estimator == "grpo" and config.algorithm.kl_penalty == "kl"
    assert config.algorithm.use_kl_in_reward and config.algorithm.kl_ctrl.kl_coef == 0.001
    assert config.algorithm.kl_ctrl.type == "fixed"
    assert (config.data.train_batch_size, config.trainer.total_training_steps) == (32, 200)
    assert config.data.train_files == "/run/it's/data/train.parquet"
    assert (parts.rollout.n, parts.rollout.temperature, parts.rollout.tensor_model_parallel_size) == (4, 1.0, 2)
    assert (parts.rollout.prompt_length, parts.rollout.response_length) == (320, 1024)
    assert parts.rollout.gpu_memory_utilization == 0.8
    worker = omega_conf_to_dataclass(parts.actor)
    assert worker.strategy == "fsdp2" and (worker.optim.lr, worker.optim.clip_grad) == (1e-6, 1.0)
    assert (worker.ppo_mini_batch_size, worker.ppo_max_token_len_per_gpu, worker.ppo_epochs) == (8, 10969, 1)
    assert worker.entropy_coeff == 0 and not worker.use_kl_loss
    assert worker.engine.param_offload and worker.engine.optimizer_offload and parts.ref.fsdp_config.param_offload
    # The reward is made of entropies: in bf16 they would come in steps of 1/64 nat.
    assert worker.engine.entropy_from_logits_with_chunking
    # What saves the optimizer, which the authors' code leaves out and wants back on resuming.
    assert set(worker.checkpoint.save_contents) >= {"model", "optimizer", "extra"}
    assert set(worker.checkpoint.load_contents) >= {"model", "optimizer", "extra"}


@pytest.mark.usefixtures("verl")
def test_an_attack_has_no_reference_and_no_kl(model):
    from verl.trainer.ppo.utils import need_reference_policy

    config = composed(sized(mode="attack", kl=0.0, classifier="stand-in"), model)
    assert not need_reference_policy(config) and not config.algorithm.use_kl_in_reward


@pytest.mark.usefixtures("verl")
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_rehearsals_settings_compose_too(model, ranks):
    hardware = Hardware("cpu", "hf", ranks)
    given = Settings(**VALUES | {"device": "cpu", "rollout": "hf", "tokens_per_gpu": 2048})
    config = composed(fill_sizes(given, hardware, None, 512), model, hardware)
    assert config.trainer.n_gpus_per_node == ranks and config.actor_rollout_ref.rollout.name == "hf"
    assert config.actor_rollout_ref.rollout.tensor_model_parallel_size == 1


@pytest.mark.parametrize("key", sorted(DECIDED))
def test_what_the_settings_decide_cannot_be_overridden(key):
    given = replace(sized(), verl_overrides=[f"{key}=1"])
    with pytest.raises(Mistake, match=f"`verl_overrides`: `{key}` is decided by this stage"):
        verl_overrides(
            given, TrainingInputs(**dict.fromkeys(("settings", "model", "data", "work", "out"), Path("/x"))), GPUS
        )


@pytest.mark.usefixtures("verl")
def test_a_users_override_arrives(model):
    config = composed(sized(verl_overrides=["actor_rollout_ref.rollout.max_num_seqs=64"]), model)
    assert config.actor_rollout_ref.rollout.max_num_seqs == 64
