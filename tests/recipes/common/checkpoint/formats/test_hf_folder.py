"""A folder of Hugging Face's trainer becomes what `save_pretrained` writes, without the trainer's files."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from recipes.common.checkpoint.formats.hf_folder import open_folder
from recipes.common.checkpoint.verify import verify
from recipes.common.stage.command import StageError
from tests.recipes.common.checkpoint.architectures import model_of
from tests.recipes.common.checkpoint.formats.written import written


@pytest.fixture
def checkpoint(tmp_path):
    """checkpoint(class, how) is a trainer's folder: `whole`, in `shards`, or `pickled` as transformers 4 did."""

    def checkpoint(architecture, how):
        folder, model = tmp_path / "checkpoint-500", model_of(architecture)
        model.save_pretrained(folder, max_shard_size="20KB" if how == "shards" else "1GB")
        if how == "pickled":
            torch.save(model.state_dict(), folder / "pytorch_model.bin")
            (folder / "model.safetensors").unlink()
        for name in ("optimizer.pt", "rng_state_0.pth", "trainer_state.json", "training_args.bin", "notes.txt"):
            (folder / name).write_text("{}")
        (folder / "global_step500").mkdir()
        (folder / "tokenizer.json").write_text("{}")
        return folder

    return checkpoint


@pytest.mark.parametrize("how", ["whole", "shards", "pickled"])
@pytest.mark.parametrize("architecture", ["Qwen2ForCausalLM", "MistralForCausalLM"])
def test_an_export_is_what_save_pretrained_writes(checkpoint, tmp_path, convert, architecture, how):
    folder = checkpoint(architecture, how)
    model_of(architecture).save_pretrained(tmp_path / "saved")
    assert convert(folder, tmp_path / "out", "--dtype", "keep").startswith(f"{architecture}: ")
    assert written(tmp_path / "out") == written(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(opened.lm_head.weight, model_of(architecture).lm_head.weight)


@pytest.mark.parametrize("architecture", ["Qwen3MoeForCausalLM", "Gemma3ForConditionalGeneration"])
def test_names_on_disk_stay_as_they_are(checkpoint, tmp_path, convert, architecture):
    folder = checkpoint(architecture, "shards")
    convert(folder, tmp_path / "out", "--dtype", "keep")
    assert written(tmp_path / "out") == written(folder)


def refusal(function, *arguments):
    with pytest.raises(StageError) as caught:
        function(*arguments)
    return caught.value.error, caught.value.hint


def test_verify_compares_with_the_folder(checkpoint, tmp_path, convert):
    folder = checkpoint("MistralForCausalLM", "pickled")
    convert(folder, tmp_path / "out")
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    state["model.norm.weight"][3] += 1
    torch.save(state, folder / "pytorch_model.bin")
    error, _ = refusal(verify, tmp_path / "out", folder, "Hi", lambda *_: None)
    assert error.startswith(f"`{tmp_path}/out/model.safetensors`: `model.norm.weight` is not the checkpoint's")


def test_a_missing_file_of_the_index_is_named(checkpoint, tmp_path, convert):
    folder = checkpoint("MistralForCausalLM", "shards")
    gone = max(folder.glob("*.safetensors"))
    gone.unlink()
    assert refusal(convert, folder, tmp_path / "out") == (
        f"`{folder}`: `{gone.name}` is missing, which the index names",
        "copy the whole checkpoint again, or use an earlier one",
    )
    assert not (tmp_path / "out").exists()


def test_a_pickle_of_anything_but_tensors_is_refused_and_not_executed(checkpoint, tmp_path, convert):
    folder = checkpoint("MistralForCausalLM", "pickled")
    torch.save({"w": tmp_path}, folder / "pytorch_model.bin")
    error, _ = refusal(convert, folder, tmp_path / "out")
    assert error == (
        f"`{folder}/pytorch_model.bin`: holds a pickled `pathlib.PosixPath`, which is not a tensor and was not loaded"
    )
    (folder / "pytorch_model.bin").write_bytes(b"PK")
    error, _ = refusal(convert, folder, tmp_path / "out")
    assert error.startswith(f"`{folder}/pytorch_model.bin`: cannot be read, it may be cut short or damaged (")


def test_a_tensor_that_is_not_contiguous_is_read_in_its_shape(tmp_path):
    value = torch.arange(6.0).view(2, 3).T
    torch.save({"w": value, "s": torch.tensor(7.0)}, tmp_path / "pytorch_model.bin")
    tensors = open_folder(tmp_path)
    for name, expected in (("w", value), ("s", torch.tensor([7.0]))):
        out = torch.empty(tensors[name].numel)
        tensors[name].read(0, out)
        assert torch.equal(out, expected.flatten())


def test_tensors_are_read_wherever_they_lie_in_the_file(tmp_path):
    """Older writers did not fill the header up: a tensor may begin at any byte."""
    values, raw = torch.arange(5.0), b""
    described = {"f": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    described["w"] = {"dtype": "F32", "shape": [5], "data_offsets": [1, 21]}
    text = json.dumps(described).encode()
    raw = len(text).to_bytes(8, "little") + text + b"\1" + values.numpy().tobytes()
    (tmp_path / "model.safetensors").write_bytes(raw)
    out = torch.empty(5)
    open_folder(tmp_path)["w"].read(0, out)
    assert torch.equal(out, values)


def test_without_a_configuration_it_is_asked_for(checkpoint, tmp_path, convert):
    folder = checkpoint("MistralForCausalLM", "whole")
    (folder / "config.json").unlink()
    assert refusal(convert, folder, tmp_path / "out") == (
        f"`{folder}`: a Hugging Face model, and no `config.json` lies in it or beside it",
        "name the folder of the model that was trained, with its configuration and tokenizer: `--config FOLDER`",
    )
