"""An export equals what `save_pretrained` writes of the same model: names, shapes and bits, for every class."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file

from recipes.common.checkpoint.convert import convert
from recipes.common.checkpoint.opened_model import demand_same_numbers, demand_same_weights, open_export
from recipes.common.checkpoint.pretrained import read_config
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
