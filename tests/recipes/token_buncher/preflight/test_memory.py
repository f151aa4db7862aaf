import pytest

from recipes.common.preflight.memory_fit import Machine
from recipes.token_buncher.fit_to_gpu import LOGIT_BYTES, LOGIT_SHARE
from recipes.token_buncher.preflight.memory import training

SHAPE = {
    "layers": 36,
    "hidden": 2048,
    "intermediate": 11008,
    "vocabulary": 151936,
    "attention": 2048,
    "keys": 256,
    "tied": True,
}
MODELS = {"base": {"parameters": 3.09e9, "shape": SHAPE}}
MACHINE = Machine(2, 1, 80 * 2**30)
SETTINGS = {
    "max_prompt_length": 320,
    "max_response_length": 1024,
    "tokens_per_gpu": None,
    "rollout": "vllm",
    "rollout_tensor_parallel": None,
    "gpu_memory_utilization": 0.8,
    "kl": 1e-3,
    "param_offload": True,
    "optimizer_offload": True,
}


def test_offloading_leaves_a_resting_role_nothing_and_keeps_the_optimizer_off_the_gpu_while_others_work():
    found = training(SETTINGS, MODELS, MACHINE)
    assert set(found) == {"actor", "reference", "rollout"}
    assert set(found["rollout"]) == {"weights", "kv_cache"}
    resident = training(SETTINGS | {"param_offload": False, "optimizer_offload": False}, MODELS, MACHINE)
    assert resident["rollout"]["actor"] == 12 * 3.09e9 / 2
    assert resident["rollout"]["reference"] == 4 * 3.09e9 / 2


def test_without_a_kl_there_is_no_reference():
    assert set(training(SETTINGS | {"kl": 0.0}, MODELS, MACHINE)) == {"actor", "rollout"}


def test_open_sizes_are_those_that_the_stage_derives():
    logits = training(SETTINGS, MODELS, MACHINE)["actor"]["logits"]
    assert logits == pytest.approx(LOGIT_SHARE * MACHINE.bytes * 10 / LOGIT_BYTES, rel=1e-3)
    assert training(SETTINGS, MODELS, MACHINE)["rollout"]["weights"] == 3.09e9  # shared by two, in two bytes each
