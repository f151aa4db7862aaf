"""`rollout.name=hf`: transformers behind verl's rollout interface, for machines without a GPU.

verl reaches it where vLLM would be: a replica starts one server actor, the actor's workers send it their weights,
the agent loop asks it for tokens. Imported by HFModelConfig through `actor_rollout_ref.model.external_lib`.
"""

import hashlib
import os
from collections.abc import Generator as Weights
from typing import Any

import ray
import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.workers.rollout.base import _ROLLOUT_REGISTRY, BaseRollout
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry

from recipes.common.verl.cpu_generator import Generator

CONCURRENT = 1024
"""Requests that may wait at a server; it answers one at a time."""


class TransformersReplica(RolloutReplica):
    """One server actor, however many ranks feed it."""

    async def launch_servers(self) -> None:
        name, config = server_name(self.replica_rank), self.config
        server = ray.remote(Generator).options(name=name, max_concurrency=CONCURRENT, num_cpus=0)
        self._server_handle = server.remote(self.model_config.path, config.prompt_length, config.response_length)
        self._server_address = name
        self.servers = [self._server_handle]


class TransformersWeights(BaseRollout):
    """In every training rank: hands the actor's weights to the replica's server."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, **unused: Any):
        super().__init__(config, model_config, device_mesh)
        ranks = self.config.tensor_model_parallel_size * self.config.data_parallel_size
        self.replica, self.rank = divmod(int(os.environ["RANK"]), ranks)

    async def update_weights(
        self, weights: Weights[tuple[str, torch.Tensor], None, None], global_steps: int | None = None, **unused: Any
    ) -> None:
        """The server answers with `weights` from now on. Every rank iterates over them: to gather a tensor is a
        collective."""
        full = {name: tensor.detach().float().cpu().clone() for name, tensor in weights}
        if self.rank == 0:
            await ray.get_actor(server_name(self.replica)).load.remote(full, global_steps)

    async def resume(self, tags: list[str]) -> None:
        pass

    async def release(self) -> None:
        pass


class SeededSingleTurn(SingleTurnAgentLoop):
    """verl's single turn with a seed per sample, so that a resumed run samples what the unbroken one did."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        seed = draw_seed(self.rollout_config.seed, kwargs["uid"], kwargs["session_id"])
        return await super().run({**sampling_params, "seed": seed}, **kwargs)


def draw_seed(seed: int, uid: str, session: int) -> int:
    """A 63-bit number for sample `session` of the prompt `uid`, whose name has the step and the index (trainer.py)."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{uid}/{session}".encode()).digest()[:8], "big") >> 1


def server_name(replica: int) -> str:
    """The Ray actor's name."""
    return f"transformers_server_{replica}"


_ROLLOUT_REGISTRY[("hf", "async")] = "recipes.common.verl.cpu_rollout.TransformersWeights"
RolloutReplicaRegistry.register("hf", lambda: TransformersReplica)
