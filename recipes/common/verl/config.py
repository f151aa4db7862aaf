"""verl's configuration: overrides of it, and its keys: which it has, which it does not read, what to write instead.

    python -m recipes.common.verl.config --write     writes keys-0.9.1.json from the installed verl

The two tables lie beside this file as data, so that a program without verl can check a recipe's overrides as well.
"""

import argparse
import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.common.stage.command import Mistake
from recipes.common.stage.inputs import TrainingInputs
from recipes.common.verl.hardware import Hardware
from recipes.common.verl.settings import VerlSettings
from recipes.common.verl.stage import run_name

if TYPE_CHECKING:
    from omegaconf import DictConfig

VERSION = "0.9.1"
KEYS = Path(__file__).with_name(f"keys-{VERSION}.json")
UNREAD = Path(__file__).with_name("unread.yaml")

ACTOR, CRITIC, REF = "actor_rollout_ref.actor", "critic", "actor_rollout_ref.ref"
ROLLOUT, MODEL = "actor_rollout_ref.rollout", "actor_rollout_ref.model"

DECIDED = {
    "data.train_files": "the data stage",
    "data.val_files": "the data stage",
    "data.train_batch_size": "`train_batch`",
    "data.max_prompt_length": "`max_prompt_length`",
    "data.max_response_length": "`max_response_length`",
    "data.seed": "`seed`",
    f"{MODEL}.path": "the model stage",
    f"{ACTOR}.strategy": "the recipe's code: checkpoints are FSDP2's",
    f"{ACTOR}.optim.clip_grad": "`grad_clip`",
    f"{ACTOR}.fsdp_config.param_offload": "`param_offload`",
    f"{ACTOR}.fsdp_config.optimizer_offload": "`optimizer_offload`",
    f"{ACTOR}.ppo_max_token_len_per_gpu": "`tokens_per_gpu`",
    f"{ROLLOUT}.name": "`rollout`",
    f"{ROLLOUT}.n": "`rollout_n`",
    f"{ROLLOUT}.seed": "`seed`",
    f"{ROLLOUT}.tensor_model_parallel_size": "`rollout_tensor_parallel`",
    f"{ROLLOUT}.gpu_memory_utilization": "`gpu_memory_utilization`",
    "trainer.device": "`device`",
    "trainer.n_gpus_per_node": "`ranks`",
    "trainer.nnodes": "the job's nodes",
    "trainer.project_name": "`wandb_project`",
    "trainer.experiment_name": "the run's name",
    "trainer.logger": "the recipe's code: the stage logs to `progress.jsonl` and W&B",
}
"""Keys that every stage's settings speak for, and what to change instead of overriding them."""

UNLIMITED_EPOCHS = 10**6
"""verl must not stop before the steps are done."""

OPEN = (
    "actor_rollout_ref.model.override_config.",
    "critic.model.override_config.",
    "actor_rollout_ref.rollout.engine_kwargs.",
    "actor_rollout_ref.rollout.checkpoint_engine.engine_kwargs.",
    "data.apply_chat_template_kwargs.",
    "data.mm_processor_kwargs.",
    "trainer.v1.sampler.sampler_kwargs.",
)
"""Below these, verl passes on whatever it finds."""

UNLISTED = (
    "critic.ppo_infer_max_token_len_per_gpu",
    "actor_rollout_ref.actor.fsdp_config.mixed_precision",
    "actor_rollout_ref.ref.fsdp_config.mixed_precision",
    "critic.fsdp.mixed_precision",
)
"""verl reads these although its yaml does not have them; they are added with a `+`."""


def overrides_of(values: Mapping[str, object]) -> list[str]:
    """`key=value` for each, in hydra's spelling; paths and names in quotes, whatever characters they hold."""
    return [f"{key}={_quoted(value)}" for key, value in values.items()]


def _quoted(value: object) -> str:
    if isinstance(value, Path | str):
        return "'" + str(value).replace("'", "\\'") + "'"
    if isinstance(value, list):
        return f"[{','.join(map(_quoted, value))}]"
    return str(value)


def settings_of(settings: VerlSettings, inputs: TrainingInputs) -> dict[str, object]:
    """The settings that recipes share, each at the key that verl reads. A recipe adds its parquet files."""
    return {
        "data.train_batch_size": settings.train_batch,
        "data.max_prompt_length": settings.max_prompt_length,
        "data.max_response_length": settings.max_response_length,
        "data.filter_overlong_prompts": False,  # the data stage has shortened or dropped them
        "data.dataloader_num_workers": 0,
        "data.seed": settings.seed,
        f"{MODEL}.path": inputs.model,
        f"{ACTOR}.strategy": "fsdp2",
        f"{ACTOR}.fsdp_config.seed": settings.seed,
        f"{ACTOR}.fsdp_config.param_offload": settings.param_offload,
        f"{ACTOR}.fsdp_config.optimizer_offload": settings.optimizer_offload,
        f"{REF}.fsdp_config.param_offload": settings.param_offload,
        f"{ACTOR}.optim.clip_grad": settings.grad_clip,
        f"{ACTOR}.use_dynamic_bsz": True,
        f"{ACTOR}.ppo_max_token_len_per_gpu": settings.tokens_per_gpu,
        f"{ROLLOUT}.n": settings.rollout_n,
        f"{ROLLOUT}.seed": settings.seed,
        f"{ROLLOUT}.tensor_model_parallel_size": settings.rollout_tensor_parallel,
        f"{ROLLOUT}.gpu_memory_utilization": settings.gpu_memory_utilization,
        # Sampling and training policy differ by rounding alone; verl would check that at every step.
        f"{ROLLOUT}.calculate_log_probs": False,
        "algorithm.adv_estimator": "grpo",
        "reward.num_workers": 0,  # StageTrainer.get_reward_handles
        "trainer.total_epochs": UNLIMITED_EPOCHS,
        "trainer.total_training_steps": settings.steps,
        "trainer.val_before_train": False,
    }


def stage_overrides(
    settings: VerlSettings,
    inputs: TrainingInputs,
    hardware: Hardware,
    values: Mapping[str, object],
    decided: dict[str, str],
) -> list[str]:
    """hydra's overrides of a stage: its `values`, the hardware's and, last, the user's own, which `check_overrides`
    accepts."""
    check_overrides(settings.verl_overrides, decided)
    tracking = {
        "trainer.project_name": settings.wandb_project,
        "trainer.experiment_name": run_name(inputs.work),
        "trainer.logger": ["wandb"],
        "trainer.default_local_dir": inputs.work,
    }
    return [*overrides_of({**values, **tracking}), *hardware.overrides(), *settings.verl_overrides]


def check_settings(settings: object, decided: dict[str, str]) -> None:
    """Checks the overrides of a verl stage's settings, as `check_overrides` does; accepts other settings."""
    if isinstance(settings, VerlSettings):
        check_overrides(settings.verl_overrides, decided)


def check_overrides(overrides: list[str], decided: dict[str, str]) -> None:
    """Returns when verl knows and reads every override's key; else a Mistake that says what to write instead.

    `decided` tells which setting of the stage decides a key: an override of it would make the settings lie.
    """
    if not overrides:
        return
    import yaml  # as long in coming as the rest of a check; most settings override nothing

    known = json.loads(KEYS.read_text(encoding="utf-8"))
    unread = yaml.safe_load(UNREAD.read_text(encoding="utf-8"))
    for override in overrides:
        key, equals, _ = override.partition("=")
        key = key.strip().lstrip("+~")
        if not equals:
            raise Mistake(f"`verl_overrides`: `{override}` has no `=`", "write `key=value`")
        if key in decided:
            raise Mistake(f"`verl_overrides`: `{key}` is decided by this stage", f"change {decided[key]}")
        instead = next((text for name, text in unread.items() if key == name or key.startswith(f"{name}.")), None)
        if instead:
            raise Mistake(f"`verl_overrides`: verl {VERSION} does not read `{key}`", instead)
        if not _knows(known, key):
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"its keys are in `{KEYS.name}`"
            raise Mistake(f"`verl_overrides`: verl {VERSION} has no key `{key}`", hint)


def _knows(known: list[str], key: str) -> bool:
    listed = (*known, *UNLISTED)
    return key in listed or key.startswith((*OPEN, *(f"{name}." for name in UNLISTED)))


def compose_config(overrides: list[str]) -> "DictConfig":
    """verl's `ppo_trainer` configuration with the overrides applied; hydra's error for one that does not fit. It is
    composed in this process: no hydra.main, no outputs/ folder."""
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=overrides)


def composed_keys() -> list[str]:
    """Every key of `ppo_trainer` in the installed verl: groups such as `trainer`, leaves such as `trainer.nnodes`."""
    from omegaconf import OmegaConf

    config = compose_config(["actor_rollout_ref.rollout.name=vllm", "reward.reward_model.rollout.name=vllm"])
    return sorted(_paths(OmegaConf.to_container(config), ""))


def _paths(node: dict[str, Any], prefix: str) -> list[str]:
    paths = []
    for name, value in node.items():
        paths.append(f"{prefix}{name}")
        if isinstance(value, dict):
            paths += _paths(value, f"{prefix}{name}.")
    return paths


def main() -> None:
    """Prints how many keys there are; with --write, writes them."""
    parser = argparse.ArgumentParser(prog="python -m recipes.common.verl.config")
    parser.add_argument("--write", action="store_true")
    keys = composed_keys()
    if parser.parse_args().write:
        KEYS.write_text(json.dumps(keys, indent=0) + "\n", encoding="utf-8")
    print(f"{len(keys)} keys")


if __name__ == "__main__":
    main()
