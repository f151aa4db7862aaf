"""What the networks of a verl stage keep on a GPU, before one is paid for: actor, critic, reference and rollout take
turns. Pure arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recipes.common.preflight.memory_fit import Machine, Network, Phases, phases, reference_role, rollout, training_role

OFFLOAD = ({"gpu_memory_utilization": 0.5}, {"optimizer_offload": True}, {"param_offload": True})
"""What frees memory in every verl stage, and costs speed alone; the cheapest first."""


@dataclass(frozen=True)
class Turns:
    """Which networks take turns, and with how many tokens on a GPU at once. All have the actor's size."""

    network: Network
    tokens: int
    """Of actor and reference."""
    critic_tokens: int | None
    """None: the stage trains no critic."""
    reference: bool
    parallel: int
    """GPUs that share vLLM's weights."""

    def phases(self, settings: Mapping[str, Any], machine: Machine) -> Phases:
        """The stage's phases on one GPU; `settings` are the stage's own."""
        leave = {"weights_leave": settings["param_offload"], "optimizer_leaves": settings["optimizer_offload"]}
        roles = {"actor": training_role(self.network, machine, self.tokens, **leave)}
        if self.critic_tokens is not None:
            roles["critic"] = training_role(self.network, machine, self.critic_tokens, logits=False, **leave)
        if self.reference:
            roles["reference"] = reference_role(
                self.network, machine, self.tokens, weights_leave=settings["param_offload"]
            )
        turns = phases(roles)
        if settings["rollout"] == "vllm":
            share = settings["gpu_memory_utilization"]
            turns["rollout"] = rollout(self.network, machine, share, self.parallel, roles)
        return turns
