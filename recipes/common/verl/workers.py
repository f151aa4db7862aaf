"""verl's two worker classes with what a stage needs besides: a reproducible start and a fresh schedule."""

from typing import Any

import torch
from verl.single_controller.base.decorator import Dispatch, register
from verl.utils.device import get_device_name
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker

if get_device_name() == "cpu":
    from recipes.common.verl import cpu_engine  # noqa: F401  registers itself


class ActorWorker(ActorRolloutRefWorker):
    """Actor, rollout's weights and reference policy of one rank."""

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def restart_schedule(self) -> None:
        """See `restart_schedule` below."""
        restart_schedule(self.actor.engine)


class CriticWorker(TrainingWorker):
    """The critic of one rank."""

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def reset(self) -> None:
        """The model is built. A new score head is the same in every run with this seed."""
        torch.manual_seed(self.engine_config.seed)
        super().reset()

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def restart_schedule(self) -> None:
        """See `restart_schedule` below."""
        restart_schedule(self.engine)


def restart_schedule(engine: Any) -> None:
    """The engine's schedule begins anew at its configured rate; the optimizer's moments stay.

    A checkpoint brings its own rate and schedule along, so that a stage which starts from another stage's
    checkpoint would quietly keep that stage's rate.
    """
    for group in engine.optimizer.param_groups:
        group["lr"] = engine.optimizer_config.lr
        group.pop("initial_lr", None)
    engine.lr_scheduler = engine._build_lr_scheduler(engine.optimizer)
    engine.checkpoint_manager.lr_scheduler = engine.lr_scheduler
