"""The command takes a checkpoint of any kind, and what is named goes before what lies beside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from recipes.common.checkpoint.verify import main as verify
from recipes.common.stage.command import Mistake, StageError
from tests.recipes.common.checkpoint.architectures import model_of
from tests.recipes.common.checkpoint.formats.written import written
from tests.support.patience import patience

ROOT = Path(__file__).parents[5]
MB = 1 << 20

PEAK = """
from recipes.common.checkpoint.formats.command import main
main()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_a_role_takes_the_configuration_that_is_named(write_role, tmp_path, convert, monkeypatch):
    model = model_of("MistralForCausalLM")
    model.save_pretrained(tmp_path / "base")
    (tmp_path / "base/optimizer.pt").touch()
    role = write_role({name: value.detach() for name, value in model.state_dict().items()}, (2,))
    (role / "huggingface/config.json").write_text("{}")
    convert(role, tmp_path / "out", "--config", tmp_path / "base", "--dtype", "keep")
    assert written(tmp_path / "out") == written(tmp_path / "base")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in (tmp_path / "base").iterdir()
    } - {"optimizer.pt"}


def test_a_configuration_that_is_not_there_is_refused(write_role, tmp_path, convert):
    role = write_role({"w": torch.ones(4, 4)})
    with pytest.raises(Mistake) as caught:
        convert(role, tmp_path / "out", "--config", tmp_path / "none")
    assert caught.value.error == f"`{tmp_path / 'none'}`: no `config.json`"


def save_adapter(folder, factors):
    named = {f"base_model.model.q.{factor}.weight": value for factor, value in factors.items()}
    save_file(named, folder / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("there", "absent"),
    [("lora_A", "lora_B"), ("lora_B", "lora_A"), ("lora_embedding_A", "lora_embedding_B")],
)
def test_half_of_an_adapters_pair_is_refused(tmp_path, convert, there, absent):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}))
    save_adapter(tmp_path, {there: torch.ones(2, 4)})
    with pytest.raises(StageError) as caught:
        convert(tmp_path, tmp_path / "out")
    names = [f"base_model.model.q.{factor}.weight" for factor in (there, absent)]
    assert caught.value.error == f"`{tmp_path}`: the adapter has `{names[0]}`, and not `{names[1]}`"
    assert not (tmp_path / "out").exists()


def test_what_float16_cannot_hold_of_an_adapter_is_refused(tmp_path, convert):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": 5}))
    factors = {"lora_A": torch.full((2, 4), 7e4), "lora_B": torch.ones(4, 2)}
    save_adapter(tmp_path, factors)
    with pytest.raises(StageError, match=r"`base_model.model.q.lora_A.weight` has values beyond 65504"):
        convert(tmp_path, tmp_path / "out", "--dtype", "float16")
    with pytest.raises(Mistake, match="`base_model_name_or_path` is `5`, which is no folder with a model"):
        convert(tmp_path, tmp_path / "out", "--merge")
    assert not (tmp_path / "out").exists()


def test_verify_takes_an_adapter(tmp_path, monkeypatch, convert):
    adapter = tmp_path / "checkpoint-5"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}))
    save_adapter(adapter, {"lora_A": torch.ones(2, 4), "lora_B": torch.ones(4, 2)})
    convert(adapter, tmp_path / "out")
    command = ["verify", tmp_path / "out", "--checkpoint", adapter, "--out", tmp_path / "report"]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    verify()
    assert json.loads((tmp_path / "report/metrics.json").read_text()) == {"tensors": 2, "parameters": 16}


def peak(folder, megabytes):
    """Peak memory, in MB, of converting a Hugging Face folder of so many MB of float32."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["OursForCausalLM"]}))
    save_file({f"{i}": torch.zeros(4, MB // 4) for i in range(megabytes // 4)}, folder / "model.safetensors")
    command = [sys.executable, "-c", PEAK, str(folder), f"{folder}-out"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patience(120))
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout.splitlines()[-1]) / 1024


def test_peak_memory_is_the_same_for_a_folder_of_any_size(tmp_path):
    small, large = peak(tmp_path / "small", 20), peak(tmp_path / "large", 200)
    assert large - small < 20
    assert large < 400
