"""An adapter in verl's rank files, or in a trainer's folder, becomes the folder that peft writes, or is merged."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from recipes.common.checkpoint.formats.reread import verify_adapter, verify_merged
from recipes.common.stage.command import StageError
from tests.recipes.common.checkpoint.formats.written import written

ROLES = ["lora", "lora_alone"]


def merged_by_peft(root):
    base = AutoModelForCausalLM.from_pretrained(root / "base")
    return PeftModel.from_pretrained(base, root / "adapter").merge_and_unload().state_dict()


def demand_merged(folder, root):
    expected, tensors = merged_by_peft(root), load_file(folder / "model.safetensors")
    assert tensors.keys() == written(root / "base").keys()
    for name, value in tensors.items():
        assert torch.allclose(value, expected[name], atol=1e-6), name


@pytest.mark.parametrize("role", ROLES)
def test_verls_adapter_is_written_as_peft_writes_it(trainers_peer, tmp_path, convert, role):
    checkpoint = trainers_peer / role / "actor"
    assert convert(checkpoint, tmp_path / "out").splitlines()[0] == "LORA adapter: 8 tensors"
    assert written(tmp_path / "out") == written(trainers_peer / "adapter")
    ours, theirs = (
        json.loads((it / "adapter_config.json").read_text()) for it in (tmp_path / "out", trainers_peer / "adapter")
    )
    assert {name: ours[name] for name in ours if name != "target_modules"} == {
        name: theirs[name] for name in theirs if name != "target_modules"
    }
    assert ours["target_modules"] == sorted(theirs["target_modules"]) == ["down_proj", "q_proj"]
    assert (tmp_path / "out/tokenizer.json").is_file() and not (tmp_path / "out/config.json").exists()
    assert verify_adapter(tmp_path / "out", checkpoint)["tensors"] == 8
    opened = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(trainers_peer / "base"), tmp_path / "out")
    assert opened.peft_config["default"].lora_alpha == 6


def test_verls_adapter_goes_into_the_weights_under_it(trainers_peer, tmp_path, convert):
    convert(trainers_peer / "lora/actor", tmp_path / "out", "--merge", "--dtype", "keep")
    demand_merged(tmp_path / "out", trainers_peer)
    assert verify_merged(tmp_path / "out", trainers_peer / "lora/actor", trainers_peer / "base")["same_token"] == 1


@pytest.mark.parametrize("role", ROLES)
def test_verls_adapter_goes_into_a_base_in_another_folder(trainers_peer, tmp_path, convert, role):
    convert(trainers_peer / role / "actor", tmp_path / "out", "--merge", trainers_peer / "base", "--dtype", "keep")
    demand_merged(tmp_path / "out", trainers_peer)


@pytest.fixture
def checkpoint(trainers_peer, tmp_path):
    """As Hugging Face's trainer leaves it."""
    folder = shutil.copytree(trainers_peer / "adapter", tmp_path / "checkpoint-500")
    for name in ("optimizer.pt", "trainer_state.json", "training_args.bin"):
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize("pickled", [False, True])
def test_a_trainers_adapter_is_written_without_the_trainers_files(
    trainers_peer, checkpoint, tmp_path, convert, pickled
):
    if pickled:
        torch.save(load_file(checkpoint / "adapter_model.safetensors"), checkpoint / "adapter_model.bin")
        (checkpoint / "adapter_model.safetensors").unlink()
    convert(checkpoint, tmp_path / "out")
    assert written(tmp_path / "out") == written(trainers_peer / "adapter")
    assert {it.name for it in (tmp_path / "out").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert verify_adapter(tmp_path / "out", checkpoint)["parameters"] == sum(
        value.numel() for value in load_file(tmp_path / "out/adapter_model.safetensors").values()
    )


def test_a_trainers_adapter_goes_into_the_base_that_it_names(trainers_peer, checkpoint, tmp_path, convert):
    settings = json.loads((checkpoint / "adapter_config.json").read_text())
    named = {**settings, "base_model_name_or_path": str(trainers_peer / "base")}
    (checkpoint / "adapter_config.json").write_text(json.dumps(named))
    convert(checkpoint, tmp_path / "out", "--merge", "--dtype", "keep")
    demand_merged(tmp_path / "out", trainers_peer)


def changed(folder):
    """As the export was made without the adapter, which is so small that the logits do not tell."""
    shutil.copy(folder.parent / "unmerged/model.safetensors", folder)
    return "values differ by up to "


def not_finite(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return "values differ by up to nan"


def hidden(folder):
    shutil.copy(folder / "model.safetensors", folder / "model-00001-of-00001.safetensors")
    return "`model-00001-of-00001.safetensors` lies beside `model.safetensors`: nobody reads it"


@pytest.mark.parametrize("damage", [changed, not_finite, hidden])
def test_verify_sees_an_export_that_is_not_merged(trainers_peer, checkpoint, tmp_path, convert, damage):
    tensors = load_file(checkpoint / "adapter_model.safetensors")
    small = {name: value * 0.01 if "lora_B" in name else value for name, value in tensors.items()}
    save_file(small, checkpoint / "adapter_model.safetensors")
    base = trainers_peer / "base"
    convert(base, tmp_path / "unmerged")
    for dtype in ("float32", "bfloat16"):
        convert(checkpoint, tmp_path / dtype, "--merge", base, "--dtype", dtype)
        assert verify_merged(tmp_path / dtype, checkpoint, base)["tensors"] == 26
    what = damage(tmp_path / "bfloat16")
    assert what in refusal(verify_merged, tmp_path / "bfloat16", checkpoint, base)[0]


def refusal(function, *arguments):
    with pytest.raises(StageError) as caught:
        function(*arguments)
    return caught.value.error, caught.value.hint


def test_a_base_that_is_not_here_is_asked_for(checkpoint, tmp_path, convert):
    settings = json.loads((checkpoint / "adapter_config.json").read_text())
    (checkpoint / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": "acme/model"}))
    assert refusal(convert, checkpoint, tmp_path / "out", "--merge") == (
        f"`{checkpoint}`: the adapter's `base_model_name_or_path` is `acme/model`, which is no folder with a model",
        "name the folder of the model that it was trained on: `--merge BASE`",
    )


def test_an_adapter_alone_has_nothing_to_go_into(trainers_peer, tmp_path, convert):
    role = trainers_peer / "lora_alone/actor"
    assert refusal(convert, role, tmp_path / "out", "--merge") == (
        f"`{role}`: has the adapter alone, without the model under it",
        "name the model that the adapter was trained on: `--merge BASE`",
    )


@pytest.mark.parametrize(
    ("meta", "what"),
    [
        (None, "no such file, so nobody knows how strong the LoRA adapter is"),
        (
            {"r": 4, "lora_alpha": 0},
            "`r` is `4` and `lora_alpha` is `0`, so nobody knows how strong the LoRA adapter is",
        ),
        (
            {"r": 8, "lora_alpha": 6},
            "`r` is `8`, and `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight` is `[4, 32]`",
        ),
    ],
)
def test_a_rank_or_alpha_that_nobody_knows_is_asked_for(trainers_peer, tmp_path, convert, meta, what):
    role = shutil.copytree(trainers_peer / "lora_alone/actor", tmp_path / "actor")
    (role / "lora_train_meta.json").unlink()
    if meta:
        (role / "lora_train_meta.json").write_text(json.dumps(meta))
    assert refusal(convert, role, tmp_path / "out")[0] == f"`{role}/lora_train_meta.json`: {what}"


def test_a_changed_adapter_is_seen(checkpoint, tmp_path, convert):
    convert(checkpoint, tmp_path / "out", "--dtype", "float16")
    assert verify_adapter(tmp_path / "out", checkpoint)["tensors"] == 8
    settings = json.loads((tmp_path / "out/adapter_config.json").read_text())
    (tmp_path / "out/adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": 7}))
    error, _ = refusal(verify_adapter, tmp_path / "out", checkpoint)
    assert error == f"`{tmp_path}/out/adapter_config.json`: not the checkpoint's settings"
    tensors = load_file(checkpoint / "adapter_model.safetensors")
    name = max(tensors)
    tensors[name][0, 0] += 1
    save_file(tensors, checkpoint / "adapter_model.safetensors")
    assert refusal(verify_adapter, tmp_path / "out", checkpoint)[0] == (
        f"`{tmp_path}/out`: its `{name}` is not the checkpoint's"
    )


def test_a_checkpoint_without_an_adapter_has_nothing_to_merge(trainers_peer, tmp_path, convert):
    assert refusal(convert, trainers_peer / "base", tmp_path / "out", "--merge") == (
        f"`{trainers_peer}/base`: a Hugging Face model without an adapter",
        "leave out `--merge`",
    )
