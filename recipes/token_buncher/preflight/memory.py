"""What the training stages keep on a GPU: actor, reference and rollout, which take turns.

python -m recipes.token_buncher.preflight.memory REQUEST.json
"""

from collections.abc import Mapping
from typing import Any

from recipes.common.preflight.memory_fit import Machine, Phases, frozen, main, network_of, phases, rollout, sharded
from recipes.token_buncher.fit_to_gpu import Gpu, tokens_for

RELIEF = (
    {"gpu_memory_utilization": 0.5},
    {"optimizer_offload": True},
    {"param_offload": True},
    {"rollout_tensor_parallel": 8},
)
"""What frees memory, and costs speed alone; the cheapest first."""


def training(settings: Mapping[str, Any], models: Mapping[str, Any], machine: Machine) -> Phases:
    """The defence and the attack. Sizes that the settings leave open are as the stage will derive them."""
    base = network_of(models, "base")
    longest = settings["max_prompt_length"] + settings["max_response_length"]
    tokens = settings["tokens_per_gpu"] or tokens_for(longest, Gpu("", int(machine.bytes)), base.shape.vocabulary)
    roles = {
        "actor": sharded(
            base,
            machine,
            tokens,
            weights_leave=settings["param_offload"],
            optimizer_leaves=settings["optimizer_offload"],
        )
    }
    if settings["kl"] > 0:
        roles["reference"] = frozen(base, machine, tokens, weights_leave=settings["param_offload"])
    found = phases(roles)
    if settings["rollout"] == "vllm":
        parallel = settings["rollout_tensor_parallel"] or (2 if machine.world % 2 == 0 else 1)
        found["rollout"] = rollout(base, machine, settings["gpu_memory_utilization"], parallel, roles)
    return found


if __name__ == "__main__":
    main(dict.fromkeys(("defend", "attack", "control"), training), RELIEF)
