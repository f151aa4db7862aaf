"""transformers 4.57, and with it the vLLM of today, makes the same numbers of an export as transformers 5."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recipes.common.checkpoint.older_keys import with_older_keys
from recipes.common.stage.files import read_json, write_json
from tests.recipes.common.checkpoint.architectures import CONFIGURATIONS, model_of
from tests.support.patience import patience

OLDER = Path(sys.prefix) / "older"
NEVER = {"Gemma3ForConditionalGeneration": "vision_tower."}
"""Tensors for which transformers 4.57 has other names than transformers 5 writes of a model that it did not open."""


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Every class's model as `save_pretrained` writes it, which `convert` equals, with the older keys; read twice."""
    folders = {name: tmp_path_factory.mktemp(name) for name in CONFIGURATIONS}
    for name, folder in folders.items():
        model_of(name).save_pretrained(folder)
        write_json(folder / "config.json", with_older_keys(read_json(folder / "config.json")))
    read("new", folders.values(), {})
    read("older", folders.values(), {"PYTHONPATH": str(OLDER)})
    return folders


def read(name, folders, env):
    command = [sys.executable, str(Path(__file__).parent / "logits.py"), name, *map(str, folders)]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=patience(200))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("architecture", CONFIGURATIONS)
def test_the_older_reader_computes_the_same(exports, architecture):
    new, older = (torch.load(exports[architecture] / f"{name}.pt") for name in ("new", "older"))
    assert new["version"].startswith("5.") and older["version"].startswith("4.57.")
    assert not new["lost"] and all(NEVER.get(architecture, "?") in name for name in older["lost"])
    assert torch.allclose(new["logits"], older["logits"], rtol=0, atol=5e-6)


def test_without_the_older_keys_it_computes_something_else(exports, tmp_path):
    model_of("LlamaForCausalLM").save_pretrained(tmp_path)
    read("older", [tmp_path], {"PYTHONPATH": str(OLDER)})
    told = torch.load(exports["LlamaForCausalLM"] / "new.pt")["logits"]
    assert not torch.allclose(told, torch.load(tmp_path / "older.pt")["logits"], rtol=0, atol=1e-2)


def test_parts_and_kinds_of_layers_get_their_keys_and_nothing_else_changes():
    layers = {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 7.0}, "rope_theta": None}
    config = {
        "text_config": {
            "model_type": "gemma3_text",
            "rope_parameters": {**layers, "sliding_attention": {"rope_type": "default", "rope_theta": 3.0}},
        },
        "quantization_config": {"num_experts": 2},
    }
    assert with_older_keys(config) == {
        **config,
        "text_config": {
            **config["text_config"],
            "rope_theta": 7.0,
            "rope_local_base_freq": 3.0,
            "rope_scaling": {"rope_type": "linear", "type": "linear", "factor": 8.0},
        },
    }
    assert with_older_keys({"num_experts": 4}) == {"num_experts": 4, "num_local_experts": 4}
