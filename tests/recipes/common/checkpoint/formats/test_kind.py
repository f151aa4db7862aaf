"""A folder is recognised by its files' names, and what is not converted here is named with the tool that does it."""

import json

import pytest

from recipes.common.checkpoint.formats.kind import Kind, checkpoint_kind, deepspeed_folder, weight_files
from recipes.common.stage.command import Mistake


def make(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"fsdp_config.json": "{}", "huggingface/config.json": "{}"}, Kind.VERL),
        ({"model_world_size_2_rank_0.pt": ""}, Kind.VERL),
        ({".metadata": "", "__0_0.distcp": ""}, Kind.DCP),
        ({"pytorch_model_fsdp_0/.metadata": "", "optimizer_0/.metadata": "", "trainer_state.json": "{}"}, Kind.DCP),
        ({"latest": "global_step5", "global_step5/mp_rank_00_model_states.pt": ""}, Kind.DEEPSPEED),
        ({"zero_pp_rank_0_mp_rank_00_optim_states.pt": "", "mp_rank_00_model_states.pt": ""}, Kind.DEEPSPEED),
        ({"config.json": "{}", "model.safetensors": "", "optimizer.pt": ""}, Kind.HUGGING_FACE),
        ({"config.json": "{}", "pytorch_model.bin": ""}, Kind.HUGGING_FACE),
        ({"model.safetensors": "", "latest": "global_step5", "global_step5/a_optim_states.pt": ""}, Kind.HUGGING_FACE),
        ({"adapter_config.json": "{}", "adapter_model.safetensors": "", "optimizer.pt": ""}, Kind.ADAPTER),
    ],
)
def test_a_checkpoint_is_known_by_its_files(tmp_path, files, kind):
    assert checkpoint_kind(make(tmp_path, files)) is kind


def refusal(folder):
    with pytest.raises(Mistake) as caught:
        checkpoint_kind(folder)
    return caught.value.error, caught.value.hint


BRIDGE = (
    "NVIDIA's Megatron-Bridge (`AutoBridge.export_ckpt`), or Megatron-LM's `tools/checkpoint/convert.py`, makes a "
    "Hugging Face model of it"
)
MEGATRON = {"metadata.json": json.dumps({"sharded_backend": "torch_dist"}), ".metadata": "", "__0_0.distcp": ""}
OLDER = {"latest_checkpointed_iteration.txt": "5", "iter_0000005/mp_rank_00/model_optim_rng.pt": ""}
OF_VERL = {f"dist_ckpt/{name}": text for name, text in MEGATRON.items()}


@pytest.mark.parametrize(
    ("files", "what", "hint"),
    [
        (OLDER, "a Megatron checkpoint", BRIDGE),
        ({"mp_rank_00/model_optim_rng.pt": ""}, "a Megatron checkpoint", BRIDGE),
        (MEGATRON, "a Megatron checkpoint", BRIDGE),
        (OF_VERL, "one role of a verl checkpoint by Megatron", "--backend megatron"),
        ({"epoch=1.ckpt": ""}, "a Lightning checkpoint", "load_from_checkpoint"),
        ({"model.gguf": ""}, "a GGUF model of llama.cpp", "gguf_file"),
        ({"_CHECKPOINT_METADATA": ""}, "an Orbax checkpoint of JAX", "the trainer that wrote it"),
    ],
)  # fmt: skip
def test_another_trainers_checkpoint_is_named_with_the_tool_that_converts_it(tmp_path, files, what, hint):
    error, said = refusal(make(tmp_path, files))
    assert error == f"`{tmp_path}`: {what}, which is not converted here"
    assert hint in said


@pytest.mark.parametrize(
    ("files", "meant"),
    [
        ({"actor/fsdp_config.json": "{}", "critic/fsdp_config.json": "{}"}, "actor"),
        (
            {
                "latest_checkpointed_iteration.txt": "10",
                "global_step_9/actor/fsdp_config.json": "{}",
                "global_step_10/actor/fsdp_config.json": "{}",
                "global_step_10/critic/fsdp_config.json": "{}",
            },
            "global_step_10/actor",
        ),
        ({"checkpoint-90/model.safetensors": "", "checkpoint-100/model.safetensors": ""}, "checkpoint-100"),
    ],
)
def test_a_folder_above_checkpoints_is_answered_with_the_newest(tmp_path, files, meant):
    assert refusal(make(tmp_path, files)) == (
        f"`{tmp_path}`: a checkpoint lies below it, not in it",
        f"did you mean `{tmp_path / meant}`?",
    )


def test_what_is_no_checkpoint_says_what_is(tmp_path):
    assert refusal(tmp_path) == (
        f"`{tmp_path}`: no checkpoint of a kind that is converted here: verl FSDP, torch DCP, DeepSpeed ZeRO, "
        "Hugging Face, PEFT",
        "give the folder of one checkpoint, such as `global_step_100/actor` or `checkpoint-500`",
    )
    assert refusal(tmp_path / "none")[0] == f"`{tmp_path / 'none'}`: no such folder"
    (tmp_path / "model.safetensors").touch()
    assert refusal(tmp_path / "model.safetensors") == (
        f"`{tmp_path / 'model.safetensors'}` is a file, not a folder",
        f"did you mean its folder, `{tmp_path}`?",
    )


def test_a_save_that_did_not_end_is_said(tmp_path):
    error, _ = refusal(make(tmp_path, {"__0_0.distcp": ""}))
    assert error == f"`{tmp_path}`: `.metadata` is missing beside the `.distcp` files of torch.distributed.checkpoint"


def test_the_step_that_latest_names_is_read_and_no_folder_elsewhere(tmp_path):
    make(
        tmp_path,
        {f"{step}/mp_rank_00_model_states.pt": "" for step in ("run/global_step9", "run/global_step10", "other")},
    )
    assert deepspeed_folder(tmp_path / "run") == tmp_path / "run/global_step10"
    for said, step in (("global_step9\n", "run/global_step9"), ("../other", None), ("gone", None)):
        (tmp_path / "run/latest").write_text(said)
        assert deepspeed_folder(tmp_path / "run") == (step and tmp_path / step)


def test_safetensors_go_before_pickles_and_an_index_says_which(tmp_path):
    make(
        tmp_path, {"pytorch_model.bin": "", "model-1.safetensors": "", "model-2.safetensors": "", "old.safetensors": ""}
    )
    index = {"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weight_files(tmp_path) == [tmp_path / "model-1.safetensors", tmp_path / "model-2.safetensors"]
