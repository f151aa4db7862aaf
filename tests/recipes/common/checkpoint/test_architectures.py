"""An export equals what `save_pretrained` writes of the same model: names, shapes and bits, for every class."""

import copy
import json
import sys
from importlib import metadata

import pytest
import torch
from safetensors.torch import load_file

from recipes.common.checkpoint.convert import convert
from recipes.common.checkpoint.opened_model import demand_same_numbers, demand_same_weights, open_export
from recipes.common.checkpoint.pretrained import read_config
from recipes.common.checkpoint.saved_layout import AS_IN_MEMORY, ASKED, _layout, known_layout, saved_layout
from recipes.common.stage.command import StageError
from tests.recipes.common.checkpoint.architectures import CONFIGURATIONS, model_of


def state_of(model):
    """As FSDP saves it: a tied tensor under both names."""
    return {name: value.detach() for name, value in model.state_dict().items()}


def written(folder):
    return {
        name: (tuple(value.shape), value.dtype, value.view(torch.uint8).tolist())
        for file in sorted(folder.glob("*.safetensors"))
        for name, value in load_file(file).items()
    }


@pytest.mark.parametrize("mesh", [(1,), (4,), (2, 2)], ids=["1", "4", "2x2"])
@pytest.mark.parametrize("architecture", CONFIGURATIONS)
def test_an_export_is_what_save_pretrained_writes(write_role, tmp_path, architecture, mesh):
    model = model_of(architecture)
    model.save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved/config.json").read_text())
    role = write_role(state_of(model), mesh, config=config)
    convert(role, tmp_path / "export", None, 10**12, lambda *_: None)
    assert written(tmp_path / "export") == written(tmp_path / "saved")


@pytest.mark.parametrize("architecture", CONFIGURATIONS)
def test_verify_opens_what_convert_made(write_role, tmp_path, architecture):
    model = model_of(architecture)
    model.save_pretrained(tmp_path / "saved")
    role = write_role(state_of(model), (2,), config=json.loads((tmp_path / "saved/config.json").read_text()))
    convert(role, tmp_path / "export", None, 10**12, lambda *_: None)
    opened = open_export(tmp_path / "export")
    assert type(opened) is type(model)
    demand_same_weights(tmp_path / "export", opened, role)
    demand_same_numbers(tmp_path / "export", opened, read_config(role))
    wrong = copy.deepcopy(read_config(role))
    for part in (wrong, wrong.get("text_config", {})):
        if "rope_parameters" in part:
            part["rope_parameters"] = changed_theta(part["rope_parameters"])
    with pytest.raises(StageError, match="computes something else"):
        demand_same_numbers(tmp_path / "export", opened, wrong)


def changed_theta(parameters):
    """Also of parameters that differ by the kind of layer."""
    nested = {layers: changed_theta(value) for layers, value in parameters.items() if isinstance(value, dict)}
    return {**parameters, **(nested or {"rope_theta": 31.0})}


def test_a_configuration_with_the_type_under_its_older_key_and_an_infinite_number_is_read(write_role, tmp_path):
    model = model_of("Qwen2ForCausalLM")
    config = json.loads(model.config.to_json_string())
    config.pop("dtype", None)
    odd = {**config, "torch_dtype": "float32", "limit": [0.0, {"__float__": "Infinity"}]}
    role = write_role(state_of(model), (2,), config=odd)
    summary = convert(role, tmp_path / "export", torch.bfloat16, 10**12, lambda *_: None)
    assert summary.dtype == "bfloat16"
    demand_same_numbers(tmp_path / "export", open_export(tmp_path / "export"), odd)


def test_a_class_that_cannot_be_made_of_the_configuration_is_a_sentence_and_nothing_is_written(write_role, tmp_path):
    model = model_of("MixtralForCausalLM")
    config = {**json.loads(model.config.to_json_string()), "hidden_size": "wide"}
    role = write_role(state_of(model), (2,), config=config)
    with pytest.raises(StageError, match=r"`MixtralForCausalLM`: what `save_pretrained` writes of it cannot be made"):
        convert(role, tmp_path / "export", None, 10**12, lambda *_: None)
    assert not (tmp_path / "export").exists()


def test_a_class_that_transformers_does_not_have_is_saved_as_it_is_and_cannot_be_opened(write_role, tmp_path):
    role = write_role({"w": torch.ones(4, 4)}, (2,), config={"architectures": ["OursForCausalLM"]})
    convert(role, tmp_path / "export", None, 10**12, lambda *_: None)
    assert list(written(tmp_path / "export")) == ["w"]
    with pytest.raises(StageError, match="transformers has no class `OursForCausalLM`"):
        open_export(tmp_path / "export")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", AS_IN_MEMORY)
def test_what_is_said_of_a_class_without_asking_is_what_transformers_says(architecture, tied):
    assert metadata.version("transformers") == ASKED
    model = model_of(architecture, {**CONFIGURATIONS[architecture], "tie_word_embeddings": tied})
    config = json.loads(model.config.to_json_string())
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    known, asked = known_layout(architecture, config, shapes), _layout([architecture], config, shapes)
    assert (known.ties, list(known.tensors.items())) == (asked.ties, list(asked.tensors.items()))
    assert bool(known.ties) == tied
    del config["tie_word_embeddings"]
    assert known_layout(architecture, config, shapes) is None


def test_another_process_finds_the_same_layout(monkeypatch):
    model = model_of("Qwen3MoeForCausalLM")
    config = json.loads(model.config.to_json_string())
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    here = saved_layout(["Qwen3MoeForCausalLM"], config, shapes)
    monkeypatch.delitem(sys.modules, "transformers.modeling_utils")
    assert saved_layout(["Qwen3MoeForCausalLM"], config, shapes) == here
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StageError, match="transformers' classes could not be opened"):
        saved_layout(["Qwen3MoeForCausalLM"], config, shapes)
