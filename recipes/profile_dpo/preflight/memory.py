"""The GPU memory that each stage needs, before a GPU is paid for.

python -m recipes.profile_dpo.preflight.memory REQUEST.json
"""

from collections.abc import Mapping
from typing import Any

from recipes.common.preflight import memory_fit
from recipes.common.preflight.memory_estimate import generating
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


def _speaking(
    settings: Settings,
    models: Mapping[str, Any],
    machine: Machine,
    name: str,
    nf4: bool,
    sequences: int,
    length: int,
) -> Phases:
    parts = generating(network_of(models, name).shape, settings["dtype"], nf4, sequences, length)
    return {name: memory_fit.serving(parts, settings, machine, sequences)}


STAGES = {
    "reference": writing,
    "generate": writing,
    "tournament": judging,
    "dpo": memory_fit.learning("writer", 2),
    "merge": memory_fit.merging("writer"),
    "write": writing,
    "evaluate": judging,
}

if __name__ == "__main__":
    memory_fit.main(STAGES, RELIEF)
