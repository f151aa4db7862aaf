"""The GPU memory that each stage needs, before a GPU is paid for.

python -m recipes.profile_dpo.preflight.memory REQUEST.json
"""

from collections.abc import Mapping
from typing import Any

from recipes.common.preflight import memory_fit
from recipes.common.preflight.memory_estimate import generating, training, weights
from recipes.common.preflight.memory_fit import Machine, Phases, network_of

Settings = Mapping[str, Any]
RELIEF: list[dict[str, Any]] = [{"recompute": True}, {"nf4": True}, {"judge_nf4": True}, {"batch": 1}]


def writing(settings: Settings, models: Mapping[str, Any], machine: Machine) -> Phases:
    """Of a stage in which the writer writes."""
    length = settings["prompt_tokens"] + settings["profile_tokens"]
    return _speaking(settings, models, machine, "writer", False, settings["at_once"], length)


def judging(settings: Settings, models: Mapping[str, Any], machine: Machine) -> Phases:
    """Of a stage in which a local judge judges; another one takes no GPU."""
    if settings["judge"] != "local":
        return {"judging": {}}
    length = settings["judge_prompt_tokens"] + settings["judge_tokens"]
    return _speaking(settings, models, machine, "judge", settings["judge_nf4"], settings["judged_at_once"], length)


def learning(settings: Settings, models: Mapping[str, Any], machine: Machine) -> Phases:
    """Each GPU has the whole base; a row is two sequences."""
    shape = network_of(models, "writer").shape
    tokens = 2 * settings["batch"] * settings["max_length"]
    trained = shape.lora(settings["lora_rank"])
    return {"learning": training(shape, settings["dtype"], settings["nf4"], trained, tokens, settings["recompute"])}


def merging(settings: Settings, models: Mapping[str, Any], machine: Machine) -> Phases:
    """The merged model, and then its base with the adapter: never both at once."""
    return {"comparing": {"weights": weights(network_of(models, "writer").shape, "bfloat16", False)}}


def _speaking(
    settings: Settings,
    models: Mapping[str, Any],
    machine: Machine,
    name: str,
    nf4: bool,
    sequences: int,
    length: int,
) -> Phases:
    """vllm takes its share whole, whatever is in it; a cache that is too small makes it wait, from one chat on."""
    shape = network_of(models, name).shape
    parts = generating(shape, settings["dtype"], nf4, sequences, length)
    if settings["engine"] == "vllm":
        room = settings["gpu_share"] * machine.bytes - parts["weights"]
        parts = {"weights": parts["weights"], "kv_cache": max(room, parts["kv_cache"] / sequences)}
    return {name: parts}


STAGES = {
    "reference": writing,
    "generate": writing,
    "tournament": judging,
    "dpo": learning,
    "merge": merging,
    "write": writing,
    "evaluate": judging,
}

if __name__ == "__main__":
    memory_fit.main(STAGES, RELIEF)
