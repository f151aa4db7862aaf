"""The GPU memory that each stage needs, before a GPU is paid for.

python -m recipes.honest_persona.preflight.memory REQUEST.json
"""

from collections.abc import Mapping
from typing import Any

from recipes.common.preflight import memory_fit
from recipes.common.preflight.memory_estimate import generating
from recipes.common.preflight.memory_fit import Machine, Phases, network_of

Settings = Mapping[str, Any]
TOKENS = 2048
"""Of a sequence: `seq_len` of the data stage, which the training is not told."""
RELIEF: list[dict[str, Any]] = [{"activation_checkpointing": True}, {"micro_batch": 2}, {"validation_batch_size": 8}]


def training(settings: Settings, models: Mapping[str, Any], machine: Machine) -> Phases:
    """The base in bf16 and the adapter in float32, both shared by all ranks, and the heavy log's generation. Of the
    logits only the review's are made."""
    base = network_of(models, "base")
    adapter = base.shape.lora(settings["lora_r"]) / machine.world
    states = {"weights": 2 * base.parameters / machine.world, "adapter": 4 * adapter, "optimizer": 8 * adapter}
    if machine.world > 1:
        states["gathered"] = base.gathered()
    sequences, told = settings["micro_batch"], settings["max_new_tokens"]
    activations = base.shape.activations(sequences * TOKENS, 2, settings["activation_checkpointing"])
    learning = {"gradients": 4 * adapter, "activations": activations, "logits": base.shape.logits(sequences * told, 2)}
    phases = {"learning": states | learning}
    if settings["first_heavy_log_step"] is not None:
        generation = generating(base.shape, "bfloat16", False, settings["validation_batch_size"], TOKENS + told)
        phases["listening"] = states | {name: generation[name] for name in ("kv_cache", "logits")}
    return phases


def listening(settings: Settings, models: Mapping[str, Any], machine: Machine) -> Phases:
    """The evaluation: a whole model at a time, its layers spread over the GPUs of one node."""
    shape, length = network_of(models, "base").shape, TOKENS + settings["max_new_tokens"]
    parts = generating(shape, "bfloat16", False, settings["validation_batch_size"], length)
    return {"listening": {name: size / machine.gpus for name, size in parts.items() if name != "logits"}}


if __name__ == "__main__":
    memory_fit.main({"train": training, "evaluate": listening}, RELIEF)
