"""verl's own configuration with overrides, composed in this process: no hydra.main, no outputs/ folder."""

from hydra import compose, initialize_config_module
from omegaconf import DictConfig


def compose_config(overrides: list[str]) -> DictConfig:
    """verl's `ppo_trainer` configuration with the overrides applied; hydra's error for one that does not fit."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=overrides)
