import pytest

from recipes.common.stage.command import Mistake
from recipes.common.verl import hardware
from recipes.common.verl.hardware import Hardware


def test_vllm_on_a_cpu_is_refused():
    with pytest.raises(Mistake) as caught:
        hardware.detect("cpu", "vllm", None)
    assert caught.value.error == "`rollout` is `vllm` and `device` is `cpu`: vLLM's engine needs a GPU"


def test_a_cpu_has_one_process_unless_said():
    assert hardware.detect("cpu", "hf", None).world_size == 1
    assert hardware.detect("cpu", "hf", 2).world_size == 2


@pytest.mark.parametrize("name", ["SKYPILOT_NUM_NODES", "SLURM_NNODES"])
def test_nodes_are_counted_by_the_scheduler(monkeypatch, name):
    monkeypatch.setenv(name, "3")
    assert hardware.detect("cpu", "hf", 2).world_size == 6


def test_only_a_cpu_gets_the_plugin_platform_and_forks():
    cpu, cuda = Hardware("cpu", "hf", 1), Hardware("cuda", "vllm", 8, nodes=2)
    assert cpu.environment()["VERL_USE_EXTERNAL_MODULES"].endswith("recipes.common.verl.cpu_platform")
    assert cuda.environment()["VERL_USE_EXTERNAL_MODULES"] == "recipes.common.verl.compat"
    assert "VERL_PLATFORM" not in cuda.environment()
    assert cuda.ray_resources() == {}


def test_more_ranks_than_gpus_are_refused(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(Mistake) as caught:
        hardware.detect("cuda", "vllm", 2)
    assert caught.value.error == "`ranks` is `2`, but 1 GPUs are visible"
