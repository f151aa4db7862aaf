"""A merged model is its base with scale * B A in its weights, and says what peft says."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes.common.checkpoint.convert import convert_source
from recipes.common.checkpoint.formats.kind import Kind
from recipes.common.checkpoint.formats.source import Source
from recipes.common.checkpoint.lora import merge, open_adapter
from recipes.common.checkpoint.lora_check import check
from recipes.common.model import tiny
from recipes.common.stage.command import StageError


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny.save(folder, ["one two three"])
    return folder


@pytest.fixture(scope="session")
def trained(base, tmp_path_factory):
    """`trained(r=2)`: an adapter of the base, with numbers in it."""

    def trained(**config):
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        folder = tmp_path_factory.mktemp("adapter")
        torch.manual_seed(0)
        wanted = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]} | config
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**wanted))
        for name, one in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(one, std=0.1)
        model.save_pretrained(folder)
        return folder

    return trained


def made(base, adapter, out, dtype=None, size=10**9):
    return merge(base, adapter, out, dtype, size, lambda *_: None)


@pytest.mark.parametrize("config", [{}, {"use_rslora": True}, {"r": 2, "lora_alpha": 2}], ids=str)
def test_the_weights_are_those_that_peft_merges(base, trained, tmp_path, config):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapter = trained(**config)
    summary = made(base, adapter, tmp_path / "out")
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).merge_and_unload()
    found = load_file(tmp_path / "out/model.safetensors")
    for name, one in merged.state_dict().items():
        assert torch.allclose(found[name], one, atol=1e-7), name
    assert (summary.tensors, summary.files, summary.dtype) == (27, 1, "float32")
    assert check(base, adapter, tmp_path / "out", "cpu").largest < 1e-5


def test_weights_are_rounded_once_and_cut_into_files(base, trained, tmp_path):
    adapter = trained()
    made(base, adapter, tmp_path / "whole")
    summary = made(base, adapter, tmp_path / "out", torch.bfloat16, 10**5)
    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())["weight_map"]
    whole = load_file(tmp_path / "whole/model.safetensors")
    assert summary.files == len({*index.values()}) > 1 and index.keys() == whole.keys()
    for name, file in index.items():
        assert torch.equal(load_file(tmp_path / "out" / file)[name], whole[name].bfloat16()), name
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["dtype"] == "bfloat16" and (tmp_path / "out/tokenizer.json").is_file()
    difference = check(base, adapter, tmp_path / "out", "cpu")
    assert 0 < difference.share < 0.02 and 0.9 < difference.same_token <= 1


def test_another_model_is_not_taken_for_it(base, trained, tmp_path):
    adapter = trained()
    with pytest.raises(StageError) as caught:
        check(base, adapter, base, "cpu")
    assert caught.value.error.startswith(f"`{base}` is not `{base}` with `{adapter}`: logits differ by 0.")
    assert caught.value.error.endswith(", at most 1e-05 is rounding")
    assert caught.value.hint.startswith("merge again; if the error stays")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "the adapter is `PROMPT_TUNING`, not `LORA`\n\nhint: only LoRA is merged"),
        ({"use_dora": True}, "the adapter's `use_dora` is `true`, which is not merged\n\nhint: train plain LoRA"),
        ({"bias": "all"}, 'the adapter\'s `bias` is `"all"`, which is not merged\n\nhint: train plain LoRA'),
    ],
)
def test_an_adapter_of_another_kind_is_refused(trained, change, says):
    adapter = trained()
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(StageError) as caught:
        open_adapter(adapter)
    assert f"{caught.value.error}\n\nhint: {caught.value.hint}" == f"`{adapter}`: {says}"


@pytest.mark.parametrize("start", ["pissa", "PiSSA_niter_16", "olora", "corda", "loftq", "lora_ga", "of_tomorrow"])
def test_an_adapter_whose_training_changed_the_base_is_refused(trained, start):
    adapter = trained()
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": start}))
    with pytest.raises(StageError) as caught:
        open_adapter(adapter)
    assert caught.value.error == (
        f"`{adapter}`: the adapter's `init_lora_weights` is `{start}`, with which peft changes the base's weights too, "
        "so the adapter does not fit the base as it was"
    )
    for same in (False, None, "gaussian", "eva", "orthogonal", "mica"):
        (adapter / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": same}))
        assert len(open_adapter(adapter).pairs) == 4


@pytest.mark.parametrize(
    ("settings", "dtype", "what"),
    [
        ({"quantization_config": {"quant_method": "fp8"}}, None, "`quantization_config` in its `config.json` says"),
        ({}, torch.float8_e4m3fn, "`model.norm.weight` is of type `torch.float8_e4m3fn`:"),
    ],
)
def test_quantized_weights_are_neither_cast_nor_merged(base, trained, tmp_path, settings, dtype, what):
    folder = shutil.copytree(base, tmp_path / "quantized")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    tensors = load_file(folder / "model.safetensors")
    if dtype:
        save_file(tensors | {"model.norm.weight": tensors["model.norm.weight"].to(dtype)}, folder / "model.safetensors")
    source, progress = Source(folder, Kind.HUGGING_FACE, folder), lambda *_: None
    for change in (
        lambda: convert_source(source, tmp_path / "out", torch.float32, 10**9, progress),
        lambda: made(folder, trained(), tmp_path / "out"),
        lambda: made(folder, None, tmp_path / "out", torch.float32),
    ):
        with pytest.raises(StageError) as caught:
            change()
        assert caught.value.error.startswith(f"`{folder}`: {what}")
    assert convert_source(source, tmp_path / "out", None, 10**9, progress).tensors == len(tensors)
    kept = load_file(tmp_path / "out/model.safetensors")
    assert {name: value.dtype for name, value in kept.items()} == {
        name: value.dtype for name, value in load_file(folder / "model.safetensors").items()
    }


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(StageError) as caught:
        open_adapter(tmp_path)
    assert caught.value.error == f"`{tmp_path}`: no `adapter_config.json`"


def test_half_a_pair_is_refused(trained):
    adapter = trained()
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors.pop(next(name for name in tensors if "lora_B" in name))
    save_file(tensors, file)
    with pytest.raises(StageError) as caught:
        open_adapter(adapter)
    assert caught.value.error == f"`{adapter}`: 1 tensors are not part of a pair of LoRA's A and B"


def test_an_adapter_of_another_base_is_refused_and_leaves_nothing(base, trained, tmp_path):
    adapter, other = trained(), tmp_path / "other"
    shutil.copytree(base, other)
    tensors = load_file(other / "model.safetensors")
    tensors.pop("model.layers.1.mlp.down_proj.weight")
    save_file(tensors, other / "model.safetensors")
    with pytest.raises(StageError) as caught:
        made(other, adapter, tmp_path / "out")
    assert caught.value.error == (
        f"`{adapter}` changes `model.layers.1.mlp.down_proj.weight`, which `{other}` does not have"
    )
    assert not (tmp_path / "out").exists()


def test_weights_that_float16_cannot_hold_are_refused(base, trained, tmp_path):
    adapter = trained()
    file = adapter / "adapter_model.safetensors"
    save_file({name: one * 1e4 for name, one in load_file(file).items()}, file)
    with pytest.raises(StageError, match=r"the merged weights are not finite in torch\.float16"):
        made(base, adapter, tmp_path / "out", torch.float16)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"r": 0},
        {"r": "8"},
        {"r": 10**400},
        {"lora_alpha": None},
        {"lora_alpha": float("nan")},
        {"lora_alpha": 1e39},
        {"lora_alpha": 10**400},
    ],
)
def test_a_rank_or_scale_that_is_no_number_is_refused(tmp_path, changed):
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16} | changed
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(StageError) as caught:
        open_adapter(tmp_path)
    shown = f"`r` is `{config['r']}` and `lora_alpha` is `{config['lora_alpha']}`"
    assert caught.value.error == f"`{tmp_path}`: {shown}, and one of them is not a number"
