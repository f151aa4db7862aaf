"""An export equals what `save_pretrained` writes of the same model: names, shapes and bits, for every class."""

import json

import pytest
import torch
from safetensors.torch import load_file

from recipes.common.checkpoint.convert import convert
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
