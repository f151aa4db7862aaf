"""What the training stages keep on a GPU: actor, discriminator, reference and rollout, which take turns.

python -m recipes.gad.preflight.memory REQUEST.json
"""

from collections.abc import Mapping
from typing import Any

from recipes.common.preflight.memory_fit import Machine, Phases, frozen, main, network_of, phases, rollout, sharded

RELIEF = (
    {"gpu_memory_utilization": 0.5},
    {"optimizer_offload": True},
    {"param_offload": True},
    {"tokens_per_gpu": 4096},
    {"rollout_tensor_parallel": 8},
)
"""What frees memory, and costs speed alone; the cheapest first."""


def training(settings: Mapping[str, Any], models: Mapping[str, Any], machine: Machine) -> Phases:
    """Warmup, adversarial training and SeqKD."""
    student, tokens = network_of(models, "student"), settings["tokens_per_gpu"]
    leave = {"weights_leave": settings["param_offload"], "optimizer_leaves": settings["optimizer_offload"]}
    roles = {"actor": sharded(student, machine, tokens, **leave)}
    if settings["mode"] != "seqkd":
        pair = max(tokens, 2 * (settings["max_prompt_length"] + settings["max_response_length"]))
        roles["critic"] = sharded(student, machine, pair, logits=False, **leave)
    if settings["mode"] == "adversarial":
        roles["reference"] = frozen(student, machine, tokens, weights_leave=settings["param_offload"])
    found = phases(roles)
    if settings["rollout"] == "vllm":
        share, parallel = settings["gpu_memory_utilization"], settings["rollout_tensor_parallel"]
        found["rollout"] = rollout(student, machine, share, parallel, roles)
    return found


if __name__ == "__main__":
    main(dict.fromkeys(("warmup", "adversarial", "seqkd"), training), RELIEF)
