"""What the training stages keep on a GPU: actor, discriminator, reference and rollout, which take turns.

python -m recipes.gad.preflight.memory REQUEST.json
"""

from collections.abc import Mapping
from typing import Any

from recipes.common.preflight.memory_fit import Machine, Phases, main, network_of
from recipes.common.preflight.verl_memory import OFFLOAD, Turns

RELIEF = (*OFFLOAD, {"tokens_per_gpu": 4096}, {"rollout_tensor_parallel": 8})
"""What frees memory, and costs speed alone; the cheapest first."""


def training(settings: Mapping[str, Any], models: Mapping[str, Any], machine: Machine) -> Phases:
    """Warmup, adversarial training and SeqKD."""
    tokens, mode = settings["tokens_per_gpu"], settings["mode"]
    pair = max(tokens, 2 * (settings["max_prompt_length"] + settings["max_response_length"]))
    turns = Turns(
        network_of(models, "student"),
        tokens,
        critic_tokens=None if mode == "seqkd" else pair,
        reference=mode == "adversarial",
        parallel=settings["rollout_tensor_parallel"],
    )
    return turns.phases(settings, machine)


if __name__ == "__main__":
    main(dict.fromkeys(("warmup", "adversarial", "seqkd"), training), RELIEF)
