import json
import subprocess
import sys

import pytest

from recipes.common.preflight.memory_estimate import Shape
from recipes.common.preflight.memory_fit import (
    CONTEXT,
    Machine,
    Network,
    Role,
    answer,
    network_of,
    phases,
    reference_role,
    rollout,
    training_role,
)
from recipes.common.stage.command import StageError
from recipes.gad.preflight.memory import RELIEF, training

SMALL = Shape(layers=4, hidden=64, intermediate=128, vocabulary=1000, attention=64, keys=32, tied=True)
ONE = Network(1_000_000, SMALL)
GAD = {
    "mode": "adversarial",
    "tokens_per_gpu": 12288,
    "max_prompt_length": 2048,
    "max_response_length": 1536,
    "param_offload": False,
    "optimizer_offload": False,
    "rollout": "vllm",
    "gpu_memory_utilization": 0.7,
    "rollout_tensor_parallel": 2,
}
QWEN_7B = {
    "parameters": 7.62e9,
    "shape": {
        "layers": 28,
        "hidden": 3584,
        "intermediate": 18944,
        "vocabulary": 152064,
        "attention": 3584,
        "keys": 512,
        "tied": False,
    },
}


def asked(settings, gpus=8, nodes=1, size=80 * 2**30):
    machine = {"name": f"GPU:{gpus}", "gpus": gpus, "nodes": nodes, "bytes": size}
    stages = [{"name": "adversarial", "settings": settings}, {"name": "convert", "settings": {}}]
    request = {"stages": stages, "models": {"student": QWEN_7B}, "machines": [machine]}
    [found] = answer(request, {"adversarial": training}, RELIEF)
    return found


def test_states_are_shared_by_all_gpus_of_all_nodes():
    role = training_role(ONE, Machine(4, 2, 10**9), 128)
    assert (role.weights, role.gradients, role.optimizer) == (500_000, 500_000, 1_000_000)


def test_activations_are_every_layer_s_input_and_one_layer_whole():
    assert ONE.shape.activations(10, 2, True) == 2 * 10 * (4 * 64 + 8 * 64 + 4 * 128)


def test_logits_come_with_their_softmax_and_its_gradient():
    assert ONE.shape.logits(10, 2) == 10 * 1000 * (2 + 8)


def test_the_worse_of_backward_and_step_counts():
    light = Role(4, 4, 8, {"activations": 1}, optimizer_leaves=True)
    heavy = Role(4, 4, 8, {"activations": 100}, optimizer_leaves=True)
    assert light.at_work() == {"weights": 4, "gradients": 4, "optimizer": 8}
    assert heavy.at_work() == {"weights": 4, "gradients": 4, "activations": 100}


def test_while_a_role_works_the_others_leave_what_is_not_offloaded():
    roles = {"actor": Role(4, 4, 8, weights_leave=True), "critic": Role(1, 1, 2, optimizer_leaves=True)}
    found = phases(roles)
    assert found["actor"] == {"weights": 4, "gradients": 4, "optimizer": 8, "critic": 1}
    assert found["critic"] == {"weights": 1, "gradients": 1, "optimizer": 2, "actor": 8}


def test_a_reference_keeps_no_activations():
    assert set(reference_role(ONE, Machine(1, 1, 10**9), 10).working) == {"gathered", "logits"}


def test_vllm_takes_its_share_beside_what_the_roles_leave():
    roles = {"actor": Role(100, 0, 200)}
    found = rollout(ONE, Machine(2, 1, 10**8), 0.5, 2, roles)
    assert found == {"weights": 10**6, "kv_cache": 49 * 10**6, "actor": 300}


def test_upstream_s_7b_fills_eight_gpus_of_80_gb_and_less_for_vllm_is_the_relief():
    found = asked(GAD)
    there = {role: sum(parts.values()) + CONTEXT for role, parts in found["phases"].items()}
    assert max(there, key=there.get) == "rollout" and there["rollout"] > 80 * 2**30
    assert found["relief"] == {"gpu_memory_utilization": 0.5}


def test_what_fits_needs_no_relief_and_a_stage_without_networks_is_left_out():
    assert asked(GAD, size=141 * 2**30)["relief"] is None
    assert asked(GAD | {"gpu_memory_utilization": 0.5})["stage"] == "adversarial"


def test_changes_add_up_where_none_alone_is_enough():
    found = asked(GAD | {"gpu_memory_utilization": 0.9}, gpus=2, size=80 * 2**30)
    assert found["relief"] == {"gpu_memory_utilization": 0.5, "optimizer_offload": True, "param_offload": True}


def test_nothing_helps_one_small_gpu():
    assert asked(GAD, gpus=1, size=24 * 2**30)["relief"] is None


def test_a_model_without_a_shape_cannot_be_asked_about():
    with pytest.raises(StageError) as raised:
        network_of({"student": {"parameters": 1, "shape": None}}, "student")
    assert raised.value.error == "the model `student` has no `shape`"


TRAIN = """
import json, sys, torch, transformers
from recipes.common.model.loading import Peak
config = transformers.Qwen2Config(**json.loads(sys.argv[1]))
tokens = int(sys.argv[2])
torch.manual_seed(0)
warm = torch.nn.Linear(8, 8); warm(torch.ones(1, 8)).sum().backward(); torch.optim.AdamW(warm.parameters()).step()
peak = Peak("cpu")
model = transformers.Qwen2ForCausalLM(config)
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
model.config.use_cache = False
model.train()
optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
for _ in range(2):
    ids = torch.randint(config.vocab_size, (1, tokens))
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
print(json.dumps([sum(p.numel() for p in model.parameters()), peak.bytes()]))
"""


@pytest.mark.training
@pytest.mark.parametrize(("vocabulary", "tokens"), [(2000, 256), (32000, 512)], ids=["states", "logits"])
def test_the_estimate_is_near_what_a_training_takes_on_a_cpu(vocabulary, tokens):
    pytest.importorskip("transformers")
    shape = Shape(layers=6, hidden=512, intermediate=2048, vocabulary=vocabulary, attention=512, keys=256, tied=False)
    config = {
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "vocab_size": vocabulary,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    }
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, json.dumps(config), str(tokens)], capture_output=True, text=True, check=True
    )
    parameters, measured = json.loads(done.stdout)
    working = {"activations": shape.activations(tokens, 4, True), "logits": shape.logits(tokens, 4)}
    predicted = sum(Role(4.0 * parameters, 4.0 * parameters, 8.0 * parameters, working).at_work().values())
    assert predicted == pytest.approx(measured, rel=0.15), (predicted / 1e6, measured / 1e6)
