from pathlib import Path

import pytest

from recipes.common.inference import vllm_cpu
from recipes.common.stage.command import Mistake
from recipes.common.verl import hardware
from recipes.common.verl.hardware import Hardware


@pytest.mark.parametrize(
    ("versions", "says"),
    [
        ({}, "vLLM's build for CPUs is not installed"),
        ({"vllm-cpu": "0.27.1"}, "vLLM's build for CPUs is not installed"),
        ({"vllm-cpu": "0.30.0", "vllm": "0.30.0+cpu"}, "vllm-cpu is `0.30.0`, tested were 0.24.0 and 0.27.1"),
    ],
)
def test_vllm_on_a_cpu_wants_a_build_that_was_tested(monkeypatch, versions, says):
    def version(name):
        if name not in versions:
            raise vllm_cpu.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(vllm_cpu.metadata, "version", version)
    with pytest.raises(Mistake) as caught:
        hardware.detect("cpu", "vllm", None)
    assert caught.value.error == f"`rollout` is `vllm` and `device` is `cpu`: {says}"
    assert "`make setup-vllm`" in caught.value.hint and caught.value.hint.endswith("`rollout` `hf` needs none")
    versions |= {"vllm-cpu": "0.27.1", "vllm": "0.27.1+cpu"}
    cpu = hardware.detect("cpu", "vllm", None)
    assert cpu.environment()["VERL_USE_EXTERNAL_MODULES"].endswith(",recipes.common.inference.vllm_cpu")
    assert cpu.environment()["VLLM_NO_USAGE_STATS"] == "1"
    assert "actor_rollout_ref.rollout.free_cache_engine=False" in cpu.overrides()


def test_the_build_for_cpus_is_not_taken_for_that_of_gpus(monkeypatch):
    monkeypatch.setattr(vllm_cpu.metadata, "version", lambda name: "0.27.1+cpu")
    with pytest.raises(Mistake) as caught:
        hardware.detect("cuda", "vllm", 1)
    assert caught.value.error == (
        "`rollout` is `vllm` and `device` is `cuda`: the vLLM of this environment is its build for CPUs"
    )


def test_the_versions_that_were_tested_are_those_of_the_locks():
    locks = Path(__file__).parents[4] / "locks"
    assert f"\nvllm=={vllm_cpu.TESTED[0]} " in (locks / "cuda.lock").read_text()
    assert f"\nvllm-cpu=={vllm_cpu.TESTED[1]} " in (locks / "vllm.lock").read_text()
    assert f'version = "{vllm_cpu.TESTED[1]}+cpu"' in (locks / "vllm-name/pyproject.toml").read_text()


def test_vllm_keeps_the_weights_that_the_actor_writes_to():
    calls = []
    pack = vllm_cpu.keep_weights(lambda layer, remove_weight: calls.append((layer, remove_weight)))
    pack("layer", remove_weight=True)
    assert calls == [("layer", False)]


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
    monkeypatch.setattr(vllm_cpu.metadata, "version", lambda name: "0.24.0")
    with pytest.raises(Mistake) as caught:
        hardware.detect("cuda", "vllm", 2)
    assert caught.value.error == "`ranks` is `2`, but 1 GPUs are visible"
