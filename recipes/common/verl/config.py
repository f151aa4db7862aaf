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

if TYPE_CHECKING:
    from omegaconf import DictConfig

VERSION = "0.9.1"
KEYS = Path(__file__).with_name(f"keys-{VERSION}.json")
UNREAD = Path(__file__).with_name("unread.yaml")

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
    if isinstance(value, Path) or (isinstance(value, str) and not value.startswith("[")):
        return "'" + str(value).replace("'", "\\'") + "'"
    return str(value)


def check_overrides(overrides: list[str], decided: dict[str, str]) -> None:
    """Returns when verl knows and reads every override's key; a Mistake that says what to write where it does not.

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
    found = []
    for name, value in node.items():
        found.append(f"{prefix}{name}")
        if isinstance(value, dict):
            found += _paths(value, f"{prefix}{name}.")
    return found


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
