from pathlib import Path

import pytest
import yaml

from recipes.common.stage.command import Mistake
from recipes.common.verl.hardware import Hardware
from recipes.gad import verl_config
from recipes.gad.settings import Settings
from recipes.gad.verl_config import DECIDED, Inputs, verl_overrides

SIZES = {
    # rollout_tensor_parallel, tokens_per_gpu, train_batch, val_batch, gpu_memory_utilization (specs' table)
    "3b": (2, 12288, 256, 600, 0.7),
    "7b": (2, 12288, 256, 600, 0.7),
    "14b": (4, 8192, 128, 300, 0.8),
    "235b": (8, 4096, 64, 150, 0.9),
}

MODES = ("warmup", "adversarial", "seqkd")


def settings(mode="warmup", **changed) -> Settings:
    values = {
        "mode": mode,
        "steps": 2204,
        "train_batch": 256,
        "val_batch": 600,
        "max_prompt_length": 2048,
        "max_response_length": 1536,
        "rollout_n": 8,
        "temperature": 0.8,
        "rollout_tensor_parallel": 2,
        "tokens_per_gpu": 12288,
        "gpu_memory_utilization": 0.7,
        "actor_lr": 1e-6,
        "critic_lr": 2e-6,
        "grad_clip": 0.2,
        "kl_loss": 0.001,
        "entropy": 0.0,
        "critic_warmup": 10,
        "save_every": 100,
        "validate_every": 100,
        "keep_last": 2,
        "device": "cuda",
        "rollout": "vllm",
        "ranks": 8,
        "param_offload": False,
        "optimizer_offload": True,
        "seed": 7,
        "wandb_project": "gad",
        "verl_overrides": [],
    }
    return Settings(**values | changed)


def inputs(mode="warmup", root="/run") -> Inputs:
    root = Path(root)
    later = {"start": root / "warmup", "reference": root / "reference"} if mode == "adversarial" else {}
    folders = {name: root / name for name in ("settings", "model", "data", "work", "out")}
    return Inputs(**folders, **later)


def compose(given: Settings, hardware=None, root="/run"):
    """The configuration that verl gets, and the dataclasses that its workers make of it."""
    from recipes.common.verl.config import compose_config

    hardware = hardware or Hardware(given.device, given.rollout, given.ranks)
    return compose_config(verl_overrides(given, inputs(given.mode, root), hardware))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """With models in it: verl's dataclasses read their configuration."""
    from recipes.common.model import tiny

    root = tmp_path_factory.mktemp("run")
    for name in ("model", "reference"):
        tiny.save(root / name, ["the word is plum"])
    return root


@pytest.mark.usefixtures("verl")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_every_mode_and_size_arrives_where_verl_reads_it(mode, size, root):
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    parallel, tokens, batch, val_batch, memory = SIZES[size]
    config = compose(
        settings(
            mode,
            rollout_tensor_parallel=parallel,
            tokens_per_gpu=tokens,
            train_batch=batch,
            val_batch=val_batch,
            gpu_memory_utilization=memory,
        ),
        root=root,
    )
    validate_config(config, need_reference_policy(config), need_critic(config))
    model, actor, rollout = (config.actor_rollout_ref[part] for part in ("model", "actor", "rollout"))

    assert need_critic(config) is (mode != "seqkd")
    assert need_reference_policy(config) is (mode == "adversarial")
    assert model.path == str(root / ("reference" if mode == "adversarial" else "model"))
    assert (config.data.train_batch_size, config.data.val_batch_size) == (batch, val_batch)
    assert (rollout.prompt_length, rollout.response_length) == (2048, 1536)
    assert (rollout.name, rollout.n, rollout.temperature) == ("vllm", 8, 0.8)
    assert (rollout.tensor_model_parallel_size, rollout.gpu_memory_utilization) == (parallel, memory)
    assert rollout.log_prob_use_dynamic_bsz and rollout.log_prob_max_token_len_per_gpu == tokens
    assert config.actor_rollout_ref.ref.log_prob_max_token_len_per_gpu == tokens
    assert config.algorithm.adv_estimator == "grpo" and not config.algorithm.use_kl_in_reward
    assert (config.trainer.total_training_steps, config.trainer.critic_warmup) == (2204, 10)
    assert (config.trainer.n_gpus_per_node, config.trainer.nnodes, config.trainer.device) == (8, 1, "cuda")

    worker = omega_conf_to_dataclass(actor)
    assert worker.strategy == worker.engine.strategy == "fsdp2"
    assert (worker.optim.lr, worker.optim.clip_grad) == (1e-6, 0.2)
    assert (worker.ppo_mini_batch_size, worker.ppo_max_token_len_per_gpu) == (batch, tokens)
    assert (worker.use_kl_loss, worker.kl_loss_coef, worker.kl_loss_type) == (
        mode == "adversarial",
        0.001,
        "low_var_kl",
    )
    assert (worker.clip_ratio, worker.clip_ratio_c, worker.entropy_coeff) == (0.2, 3.0, 0.0)
    assert (worker.engine.param_offload, worker.engine.optimizer_offload) == (False, True)

    critic = omega_conf_to_dataclass(config.critic)
    assert critic.strategy == critic.engine.strategy == "fsdp2"
    assert critic.model.path == str(root / "model")
    assert (critic.optim.lr, critic.optim.clip_grad) == (2e-6, 0.2)
    assert (critic.engine.param_offload, critic.engine.optimizer_offload) == (False, True)
    assert critic.engine.seed == rollout.seed == 7
    # A pair of the longest sequences has to fit into one micro batch, also where a GPU's tokens are fewer.
    assert critic.ppo_infer_max_token_len_per_gpu == max(tokens, 2 * (2048 + 1536))


@pytest.mark.usefixtures("verl")
def test_a_cpu_differs_in_hardware_keys_alone():
    from omegaconf import OmegaConf

    given = settings(device="cpu", rollout="hf", ranks=1, rollout_tensor_parallel=1)
    config = compose(given)
    assert config.trainer.device == "cpu" and config.actor_rollout_ref.rollout.name == "hf"
    assert config.actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype == "fp32"
    assert config.actor_rollout_ref.model.override_config.attn_implementation == "sdpa"
    loops = config.actor_rollout_ref.rollout.agent
    assert OmegaConf.load(loops.agent_loop_config_path)[0].name == loops.default_agent_loop
    assert Path(config.actor_rollout_ref.rollout.router_config_path).is_file()


@pytest.mark.usefixtures("verl")
@pytest.mark.parametrize("name", ["with space", "quote's", "a=b", "ümlaut,comma", "[list]"])
def test_any_folder_name_reaches_verl(name):
    assert compose(settings(), root=f"/run/{name}").actor_rollout_ref.model.path == f"/run/{name}/model"


@pytest.mark.usefixtures("verl")
def test_the_users_overrides_come_last():
    given = settings(verl_overrides=["actor_rollout_ref.rollout.max_num_seqs=64"])
    assert compose(given).actor_rollout_ref.rollout.max_num_seqs == 64


def test_an_override_of_a_setting_is_refused():
    given = settings(verl_overrides=["actor_rollout_ref.actor.optim.lr=1"])
    with pytest.raises(Mistake) as caught:
        verl_overrides(given, inputs(), Hardware("cuda", "vllm", 8))
    assert caught.value.hint == "change `actor_lr`"


def test_what_the_stage_decides_is_what_it_sets():
    mine = {key.lstrip("+") for key in verl_config._settings(settings(), inputs())}
    by_hardware = {"trainer.device", "trainer.n_gpus_per_node", "trainer.nnodes", "actor_rollout_ref.rollout.name"}
    by_tracking = {"trainer.project_name", "trainer.experiment_name", "trainer.logger"}
    follows = {"critic.ppo_mini_batch_size"}
    assert set(DECIDED) - mine == by_hardware | by_tracking | follows


def test_a_batch_that_the_ranks_cannot_share_is_refused():
    with pytest.raises(Mistake) as caught:
        verl_overrides(settings(train_batch=20), inputs(), Hardware("cuda", "vllm", 8))
    assert caught.value.error == "`train_batch` is `20`, which 8 training processes cannot share evenly"
    assert caught.value.hint == "make it a multiple of 8"


def test_a_tensor_parallel_that_does_not_divide_is_refused():
    with pytest.raises(Mistake) as caught:
        verl_overrides(settings(rollout_tensor_parallel=3), inputs(), Hardware("cuda", "vllm", 8))
    assert caught.value.error == "`rollout_tensor_parallel` is `3`, which does not divide the 8 training processes"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"mode": "gan"}, "`mode` is `gan`, not one of `warmup`, `adversarial`, `seqkd`"),
        ({"steps": 0}, "`steps` is `0`, less than 1"),
        ({"actor_lr": 0.0}, "`actor_lr` is `0.0`, not above 0"),
        (
            {"tokens_per_gpu": 3000},
            "`tokens_per_gpu` is `3000`, less than one sequence of "
            "`max_prompt_length` + `max_response_length` = 3584 tokens",
        ),
        (
            {"mode": "adversarial", "rollout_n": 1},
            "`rollout_n` is `1`: GRPO compares samples of one prompt, so it needs 2 or more",
        ),
    ],
)
def test_impossible_settings_are_said(changed, sentence):
    with pytest.raises(ValueError) as caught:
        settings(**{"mode": "warmup", **changed})
    assert str(caught.value) == sentence


def test_the_tables_are_yaml_that_another_program_can_read():
    from recipes.common.verl.config import UNREAD

    assert all(isinstance(text, str) for text in yaml.safe_load(UNREAD.read_text()).values())
