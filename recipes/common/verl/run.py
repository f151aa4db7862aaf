"""Runs a stage's trainer: Ray around it, private to this run, and gone afterwards.

The trainer lives in the stage's own process, where verl would start one more Ray actor for it (TaskRunner): a signal
reaches it, its exceptions are the stage's, and a kill of this process takes everything of Ray's with it.
"""

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.common.stage.command import Interrupted, Progress, StageError, StopSignal
from recipes.common.stage.inputs import TrainingInputs
from recipes.common.verl import checkpoints
from recipes.common.verl.checkpoints import Checkpoint
from recipes.common.verl.hardware import Hardware
from recipes.common.verl.settings import VerlSettings
from recipes.common.verl.stage import Stage, wandb_environment
from recipes.common.verl.watchdog import Watchdog, guard

if TYPE_CHECKING:
    from recipes.common.verl.trainer import StageTrainer


def train(trainer: str, overrides: list[str], hardware: Hardware, stage: Stage, stop: StopSignal) -> None:
    """Trains `stage` to its end with the StageTrainer that `module:name` imports and verl's registry has by that name.

    Raises Interrupted after SIGTERM and a checkpoint, StageError when training failed.
    """
    os.environ.update(hardware.environment() | wandb_environment(stage.work))
    with ray_cluster(hardware, stop):
        from ray.exceptions import RayError

        try:
            run_trainer(_load(trainer), overrides, stage, stop)
        except (RayError, RuntimeError) as failure:
            traceback.print_exc()
            last = str(failure).strip().splitlines()[-1]
            raise StageError(
                f"training failed: {last}",
                "the first error above is the cause; a process that was killed most often ran out of memory",
            ) from None


def find_checkpoint(
    settings: VerlSettings, inputs: TrainingInputs, hardware: Hardware, roles: tuple[str, ...]
) -> Checkpoint | None:
    """The newest complete checkpoint in the work folder, which is made and cleared of incomplete ones. StageError when
    this stage cannot continue from it."""
    inputs.work.mkdir(parents=True, exist_ok=True)
    checkpoints.remove_incomplete(inputs.work)
    newest = checkpoints.newest(inputs.work)
    if newest:
        checkpoints.check(newest, settings.mode, settings.mode, hardware.world_size, roles)
        print(f"going on from {newest.folder.name}", flush=True)
    return newest


def run_trainer(trainer: "type[StageTrainer]", overrides: list[str], stage: Stage, stop: StopSignal) -> None:
    """What verl's TaskRunnerV1.run does, without its actor."""
    import transfer_queue
    from omegaconf import OmegaConf
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.trainer.ppo.v1 import AgentLoopManagerTQ
    from verl.utils.config import validate_config

    from recipes.common.verl.config import compose_config

    config = compose_config(overrides)
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    OmegaConf.resolve(config)
    transfer_queue.init(config.transfer_queue)
    training = None
    done = False
    try:
        training = trainer(config, stage, Progress(stage.work), stop)
        training.init()
        if stop():
            raise Interrupted("stopped before the first step")
        manager = AgentLoopManagerTQ.create(config, training.get_llm_client(), None, training.get_reward_handles())
        with Watchdog():
            training.fit(manager)
        done = True
    finally:
        with contextlib.suppress(AttributeError):  # the trainer failed before it had a logger
            training.logger.finish(exit_code=0 if done or stop() else 1)
        transfer_queue.close()


@contextlib.contextmanager
def ray_cluster(hardware: Hardware, stop: StopSignal) -> Iterator[None]:
    """Ray runs: the cluster at RAY_ADDRESS, or one for this run alone, which is gone after the block."""
    if os.environ.get("RAY_ADDRESS"):
        import ray

        ray.init(runtime_env={"env_vars": hardware.environment()})
        folder = None
    else:
        folder = session_folder()
        guard(folder)
        _start_ray(hardware, folder)
    stop.listen()
    try:
        yield
    finally:
        import ray

        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _start_ray(hardware: Hardware, folder: Path) -> None:
    # Read when ray is imported. Without them it makes a token in the home folder: two first runs at once make two.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    import ray

    # Ray's processes inherit the blocked signal: one sent to the whole group must not end them under the trainer.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        resources = hardware.ray_resources()
        ray.init("local", _temp_dir=str(folder), include_dashboard=False, **resources)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def session_folder() -> Path:
    """A new folder with a short path: Ray puts sockets of 65 characters below it, and a socket's path ends at 107."""
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="ray-", dir=base if len(base) <= 20 else "/tmp"))


def _load(name: str) -> "type[StageTrainer]":
    from verl.trainer.ppo.v1.trainer_base import get_trainer_cls

    module, _, registered = name.partition(":")
    import_module(module)
    return get_trainer_cls(registered)
