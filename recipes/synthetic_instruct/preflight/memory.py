"""The GPU memory that each stage needs, before the GPU is paid for.

python -m recipes.synthetic_instruct.preflight.memory REQUEST.json
"""

from collections.abc import Mapping
from typing import Any

from recipes.common.preflight import memory_fit
from recipes.common.preflight.memory_estimate import generating, whole
from recipes.common.preflight.memory_fit import Machine, Phases, network_of
from recipes.synthetic_instruct.speaker import PREFIX_ROOM

Settings = Mapping[str, Any]

RELIEF: list[dict[str, Any]] = [{"recompute": True}, {"nf4": True}]


def writing(name: str) -> memory_fit.StageFit:
    """Of a stage in which the model `name` writes."""

    def phases(settings: Settings, models: Mapping[str, Any], machine: Machine) -> Phases:
        shape = network_of(models, name).shape
        length = PREFIX_ROOM + settings["instruction_tokens"] + settings["response_tokens"]
        parts = generating(shape, settings["dtype"], settings["nf4"], settings["at_once"], length)
        return {"writing": memory_fit.serving(parts, settings, machine, settings["at_once"])}

    return phases


def learning_whole(settings: Settings, models: Mapping[str, Any], machine: Machine) -> Phases:
    """Of a training of all weights."""
    tokens = settings["batch"] * settings["max_length"]
    shape = network_of(models, "base").shape
    return {"learning": whole(shape, settings["dtype"], settings["optimizer"], tokens, settings["recompute"])}


def measuring(settings: Settings, models: Mapping[str, Any], machine: Machine) -> Phases:
    """One of the three models, with the logits of whole texts."""
    shape = network_of(models, "base").shape
    return {
        "measuring": generating(shape, settings["dtype"], False, settings["eval_at_once"], settings["eval_max_length"])
    }


STAGES = {
    "generate": writing("generator"),
    "respond": writing("generator"),
    "sft": memory_fit.learning("base", 1),
    "sft_full": learning_whole,
    "dpo": memory_fit.learning("base", 2),
    "sft_model": memory_fit.merging("base"),
    "dpo_model": memory_fit.merging("base"),
    "evaluate": measuring,
}

if __name__ == "__main__":
    memory_fit.main(STAGES, RELIEF)
