"""A folder of Hugging Face's trainer becomes what `save_pretrained` writes, without the trainer's files."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from recipes.common.checkpoint.formats.adapter import NAMES
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


def without_index(folder, shard):
    """As `torn`, and without the shard: nothing but the names of the others tells."""
    torn(folder, shard)
    shard.unlink()
    return f"`{shard.name}` is missing beside `{min(folder.glob('model-*')).name}`"


def torn(folder, shard):
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text()[:-9])
    return f"`{index.name}` has no `weight_map`"


def without_tensor(folder, shard):
    tensors = load_file(shard)
    gone = min(tensors)
    save_file({name: value for name, value in tensors.items() if name != gone}, shard)
    return f"`model.safetensors.index.json` says that `{shard.name}` has `{gone}`, which it has not"


def with_another_name(folder, shard):
    name = min(load_file(shard))
    shard.write_bytes(shard.read_bytes().replace(name.encode(), name[:-1].encode() + b"u", 1))
    return f"`model.safetensors.index.json` says that `{shard.name}` has `{name}`, which it has not"


@pytest.mark.parametrize("damage", [without_index, torn, without_tensor, with_another_name])
def test_files_that_lack_a_tensor_are_refused(checkpoint, tmp_path, convert, damage):
    folder = checkpoint("MistralForCausalLM", "shards")
    fault = damage(folder, sorted(folder.glob("model-*.safetensors"))[1])
    assert refusal(convert, folder, tmp_path / "out") == (
        f"`{folder}`: {fault}",
        "copy the whole checkpoint again, or use an earlier one",
    )
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 1, "lora_alpha": 1}')
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    save_file({name.format("A"): torch.ones(1, 16), name.format("B"): torch.ones(16, 1)}, adapter / NAMES[0])
    assert refusal(convert, adapter, tmp_path / "out", "--merge", folder)[0] == f"`{folder}`: {fault}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shape", [None, [8, 2]])
def test_a_whole_file_must_have_what_the_class_has(checkpoint, tmp_path, convert, shape):
    folder = checkpoint("MistralForCausalLM", "whole")
    tensors, name = load_file(folder / "model.safetensors"), "model.layers.0.mlp.up_proj.weight"
    value = tensors.pop(name)
    other = {name: value.flatten()[:16].view(shape)} if shape else {name[:-1] + "u": value}
    save_file(tensors | other, folder / "model.safetensors")
    what = f"in the shape `{list(value.shape)}`, and the folder in `[8, 2]`" if shape else "which the folder has not"
    error, _ = refusal(convert, folder, tmp_path / "out")
    assert error == f"`{folder}`: `MistralForCausalLM` has `{name}`, {what}"


def test_a_pickle_of_anything_but_tensors_is_refused_and_not_executed(checkpoint, tmp_path, convert):
    folder = checkpoint("MistralForCausalLM", "pickled")
    torch.save({"w": tmp_path}, folder / "pytorch_model.bin")
    error, _ = refusal(convert, folder, tmp_path / "out")
    assert error == (
        f"`{folder}/pytorch_model.bin`: holds a pickled `pathlib.PosixPath`, which is not a tensor and was not loaded"
    )
    state = model_of("MistralForCausalLM").state_dict()
    torch.save(state, folder / "pytorch_model.bin")
    content, number = (folder / "pytorch_model.bin").read_bytes(), state["lm_head.weight"].numpy().tobytes()
    (folder / "pytorch_model.bin").write_bytes(content.replace(number, bytes([number[0] ^ 1]) + number[1:]))
    assert " is damaged: its CRC-32 is `" in refusal(convert, folder, tmp_path / "out")[0]
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
