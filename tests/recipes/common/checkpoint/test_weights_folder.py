"""A folder with a whole model."""

import json

import pytest

from recipes.common.checkpoint import weights_folder
from recipes.common.stage.command import Mistake, StageError

HEADER = b'{"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"format": "pt"}}'
WHOLE = len(HEADER).to_bytes(8, "little") + HEADER + bytes(24)


@pytest.fixture
def folder(tmp_path):
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(WHOLE)
    return tmp_path


def test_the_weight_files_of_a_whole_model_are_found_and_counted(folder):
    assert weights_folder.check("a/b", folder) == [folder / "model.safetensors"]
    assert weights_folder.parameters(folder / "model.safetensors") == 6


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_model_without_configuration_or_tokenizer_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(Mistake) as caught:
        weights_folder.check("a/b", folder)
    assert caught.value.error == f"`a/b` has no `{name}`"
    assert caught.value.hint == "name a complete model, not an adapter or a part"


def test_a_model_without_one_of_its_weight_files_is_refused(folder):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(StageError) as caught:
        weights_folder.check("a/b", folder)
    assert caught.value.error == "`a/b` lacks 1 of its weight files, first `model-2.safetensors`"
    assert caught.value.hint == "fetch it again"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\noid",
        WHOLE[:-1],
        b"\x02" + bytes(7) + b"[]",
    ],
)
def test_weights_that_are_cut_short_are_refused(tmp_path, body):
    (tmp_path / "model.safetensors").write_bytes(body)
    with pytest.raises(StageError) as caught:
        weights_folder.parameters(tmp_path / "model.safetensors")
    assert caught.value.error == f"`model.safetensors` is not a whole safetensors file ({len(body)} bytes)"
    assert caught.value.hint == "fetch it again; a git checkout needs `git lfs pull`"
