"""What the training stages keep on a GPU: actor, reference and rollout, which take turns.

python -m recipes.token_buncher.preflight.memory REQUEST.json
"""

from collections.abc import Mapping
from typing import Any

from recipes.common.preflight.memory_fit import Machine, Phases, main, network_of
from recipes.common.preflight.verl_memory import OFFLOAD, Turns
from recipes.token_buncher.fit_to_gpu import Gpu, tokens_for

RELIEF = (*OFFLOAD, {"rollout_tensor_parallel": 8})
"""What frees memory, and costs speed alone; the cheapest first."""


def training(settings: Mapping[str, Any], models: Mapping[str, Any], machine: Machine) -> Phases:
    """The defence and the attack. Sizes that the settings leave open are as the stage will derive them."""
    base = network_of(models, "base")
    longest = settings["max_prompt_length"] + settings["max_response_length"]
    turns = Turns(
        base,
        settings["tokens_per_gpu"] or tokens_for(longest, Gpu("", int(machine.bytes)), base.shape.vocabulary),
        critic_tokens=None,
        reference=settings["kl"] > 0,
        parallel=settings["rollout_tensor_parallel"] or (2 if machine.world % 2 == 0 else 1),
    )
    return turns.phases(settings, machine)


if __name__ == "__main__":
    main(dict.fromkeys(("defend", "attack", "control"), training), RELIEF)
