"""What the stages keep on a GPU: each stage of each list that uses one is counted, and what would help is known."""

import json
from pathlib import Path

import yaml

from recipes.common.preflight.memory_fit import answer
from recipes.profile_dpo.preflight.memory import RELIEF, STAGES

RECIPE = Path(__file__).parents[4] / "recipes/profile_dpo"
GIB = 2**30


def asked(gpu, **changes):
    recipe = yaml.safe_load((RECIPE / "recipe.yaml").read_text())
    size = yaml.safe_load((RECIPE / "sizes/phi3-mini.yaml").read_text())
    settings = recipe["settings"] | changes
    models = {
        name: {"parameters": float(one["parameters"]), "shape": {"tied": False, **one["shape"]}}
        for name, one in size["models"].items()
    }
    request = {
        "stages": [{"name": name, "settings": settings} for name in recipe["stages"]],
        "models": models,
        "machines": [{"name": "gpu", "gpus": 1, "nodes": 1, "bytes": gpu * GIB}],
    }
    return {one["stage"]: one for one in answer(json.loads(json.dumps(request)), STAGES, RELIEF)}


def total(found, stage):
    return {role: sum(parts.values()) / GIB for role, parts in found[stage]["phases"].items()}


def test_every_stage_with_a_model_on_the_gpu_is_counted():
    found = asked(80)
    bare = {"model", "judge", "setup", "current", "export"}
    stages = yaml.safe_load((RECIPE / "recipe.yaml").read_text())["stages"]
    assert set(found) == set(stages) - bare
    assert all(one["relief"] is None for one in found.values()), "it fits as it is"


def test_vllm_takes_its_share_whole_and_a_judge_elsewhere_takes_nothing():
    assert 71 < total(asked(80), "tournament")["judge"] < 73
    assert total(asked(80, judge="endpoint"), "tournament") == {"judging": 0}


def test_a_judge_that_does_not_fit_goes_in_four_bits():
    assert asked(24)["tournament"]["relief"] == {"judge_nf4": True}
    assert asked(24, judge_nf4=True)["tournament"]["relief"] is None


def test_training_in_four_bits_takes_less():
    whole, quarter = (total(asked(80, nf4=nf4), "dpo")["learning"] for nf4 in (False, True))
    assert whole - quarter > 4
