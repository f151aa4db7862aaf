"""What DeepSpeed's ZeRO saved becomes what DeepSpeed's own script makes of it, bit for bit.

resources/make_zero.py made the checkpoints with DeepSpeed 0.19.8, two ranks each: `zero1` and `zero2` have a tied head,
`zero2` a frozen weight, `zero3` groups in which a weight goes on from one into the next.
"""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from recipes.common.checkpoint import verify as module
from recipes.common.checkpoint.formats.deepspeed import open_zero, whole_weights
from recipes.common.checkpoint.verify import verify
from recipes.common.stage.command import StageError
from tests.recipes.common.checkpoint.formats.written import resaved, written

RESOURCES = Path(__file__).parent / "resources"
STAGES = ["zero1", "zero2", "zero3"]


def saved(stage, folder, dtype):
    """`save_pretrained` of the model with the weights that DeepSpeed's script found."""
    config = Qwen2Config.from_pretrained(RESOURCES / stage)
    model = Qwen2ForCausalLM(config)
    model.load_state_dict(load_file(RESOURCES / f"{stage}.safetensors"))
    model.to(dtype).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("stage", STAGES)
def test_an_export_is_what_deepspeeds_script_finds(tmp_path, convert, monkeypatch, stage, dtype):
    said = convert(RESOURCES / stage, tmp_path / "out", "--dtype", dtype)
    assert said.startswith(f"Qwen2ForCausalLM: {27 if stage == 'zero3' else 26} tensors, ")
    assert written(tmp_path / "out") == written(saved(stage, tmp_path / "saved", getattr(torch, dtype)))
    monkeypatch.setattr(module, "reply", lambda *_: {})  # it has no tokenizer
    assert verify(tmp_path / "out", RESOURCES / stage, "Hi", lambda *_: None)["dtype"] == dtype


@pytest.mark.parametrize("stage", STAGES)
def test_each_tensor_is_read_in_any_stretch(stage):
    expected = load_file(RESOURCES / f"{stage}.safetensors")
    tensors = open_zero(RESOURCES / stage / "global_step2")
    assert tensors.keys() == expected.keys() == whole_weights(RESOURCES / stage / "global_step2").keys()
    for name, tensor in tensors.items():
        flat = torch.cat([_read(tensor, start, min(5, tensor.numel - start)) for start in range(0, tensor.numel, 5)])
        assert torch.equal(flat.view(tensor.shape), expected[name]), name
        assert torch.equal(whole_weights(RESOURCES / stage / "global_step2")[name], expected[name])


def _read(tensor, start, count):
    out = torch.empty(count, dtype=tensor.dtype)
    tensor.read(start, out)
    return out


def refusal(function, *arguments):
    with pytest.raises(StageError) as caught:
        function(*arguments)
    return caught.value.error, caught.value.hint


@pytest.fixture
def checkpoint(tmp_path):
    return shutil.copytree(RESOURCES / "zero3", tmp_path / "zero3")


def test_a_missing_rank_is_seen(checkpoint):
    step = checkpoint / "global_step2"
    (step / "bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt").unlink()
    assert refusal(open_zero, step) == (
        f"`{step}`: 2 ranks wrote the checkpoint, 1 files are there",
        "the ranks' files do not come from one save: copy them again, or use another checkpoint",
    )


def test_weights_that_were_frozen_are_not_read_of_some_ranks_alone(checkpoint):
    step = checkpoint / "global_step2"
    (step / "zero_pp_rank_1_mp_rank_00_model_states.pt").unlink()
    assert refusal(open_zero, step)[0] == f"`{step}`: 2 ranks wrote it, 1 `*_model_states.pt` are there"


def change_model(step, **changes):
    """The model's file with other values; None takes the key away."""
    file = next(step.glob("*mp_rank_00_model_states.pt"))
    state = torch.load(file, weights_only=False) | changes
    torch.save({name: value for name, value in state.items() if value is not None}, file)


def without_optimizers(step):
    for file in step.glob("*_optim_states.pt"):
        file.unlink()


def with_another_rank(step):
    file = step / "bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"
    file.rename(step / file.name.replace("rank_1", "rank_2"))


def with_another_group(step):
    file = step / "mp_rank_00_model_states.pt"
    shapes = torch.load(file, weights_only=False)["param_shapes"]
    change_model(step, param_shapes=[*shapes, {"x": torch.Size([2])}])


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (without_optimizers, "no `*_optim_states.pt` has the trained weights, of which there is a list"),
        (with_another_rank, "the `*_optim_states.pt` there are of the ranks [0, 2]"),
        (with_another_group, "not what DeepSpeed writes: 2 groups of weights, and 3 of shapes"),
        (lambda step: change_model(step, buffer_names=None), "not what DeepSpeed writes: `buffer_names` is missing"),
        (
            lambda step: change_model(
                step, frozen_param_shapes={"w": [9]}, frozen_param_fragments={"w": torch.ones(4)}
            ),
            "`w` is `[9]`, and the files have less of it",
        ),
    ],
)
def test_files_that_do_not_make_the_model_are_refused(tmp_path, damage, what):
    step = shutil.copytree(RESOURCES / "zero2/global_step2", tmp_path / "step")
    damage(step)
    assert refusal(open_zero, step)[0] == f"`{step}`: {what}"


def test_a_run_with_tensor_parallelism_is_named(checkpoint):
    step = checkpoint / "global_step2"
    shutil.copy(step / "zero_pp_rank_0_mp_rank_00_model_states.pt", step / "zero_pp_rank_0_mp_rank_01_model_states.pt")
    assert refusal(open_zero, step) == (
        f"`{step}`: `zero_pp_rank_0_mp_rank_01_model_states.pt` is of a run with tensor or expert parallelism, which "
        "cannot be read",
        "DeepSpeed's `ds_to_universal.py` puts it together",
    )


@pytest.mark.parametrize(
    ("state", "what"),
    [
        ({"zero_stage": 3}, "`partition_count` is missing"),
        ({"zero_stage": 3, "partition_count": 1}, "`fp32_flat_groups` is missing"),
    ],
)
def test_files_that_lack_something_are_a_sentence(checkpoint, state, what):
    step = checkpoint / "global_step2"
    (step / "bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt").unlink()
    torch.save({"optimizer_state_dict": state}, step / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt")
    assert refusal(open_zero, step)[0] == f"`{step}`: not what DeepSpeed writes: {what}"


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def test_objects_that_deepspeed_does_not_write_are_refused_and_not_executed(checkpoint, monkeypatch):
    monkeypatch.chdir(checkpoint)
    file = checkpoint / "global_step2/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"
    torch.save({"optimizer_state_dict": {"zero_stage": Harmful()}}, file)
    assert refusal(open_zero, checkpoint / "global_step2")[0] == (
        f"`{file}`: holds a pickled `posix.mkdir`, which is not a tensor and was not loaded"
    )
    assert not (checkpoint / "executed").exists()


def test_a_changed_number_is_seen_by_verify(checkpoint, tmp_path, convert):
    convert(checkpoint, tmp_path / "out")
    file = checkpoint / "global_step2/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"
    group = load_file(RESOURCES / "zero3.safetensors")["model.norm.weight"][4:].numpy().tobytes()
    whole, other = file.read_bytes(), group[:3] + bytes([group[3] ^ 1]) + group[4:]
    file.write_bytes(whole.replace(group, other))
    error, _ = refusal(convert, checkpoint, tmp_path / "damaged")
    assert error.startswith(f"`{file}`: record `data/") and " is damaged: its CRC-32 is `" in error
    file.write_bytes(resaved(whole, group, other))
    error, _ = refusal(verify, tmp_path / "out", checkpoint, "Hi", lambda *_: None)
    assert "`model.norm.weight` is not the checkpoint's" in error


def test_another_configuration_is_refused(checkpoint, tmp_path, convert):
    config = Qwen2Config.from_pretrained(checkpoint, num_hidden_layers=1, layer_types=["full_attention"])
    config.save_pretrained(tmp_path / "config")
    assert refusal(convert, checkpoint, tmp_path / "out", "--config", tmp_path / "config") == (
        f"`{checkpoint}`: `Qwen2ForCausalLM` has no `model.layers.1.self_attn.q_proj.weight`, which the checkpoint has",
        "name the configuration of the model that was trained: `--config FOLDER`",
    )


def test_a_configuration_of_another_size_is_refused(checkpoint, tmp_path, convert):
    Qwen2Config.from_pretrained(checkpoint, vocab_size=30).save_pretrained(tmp_path / "config")
    assert refusal(convert, checkpoint, tmp_path / "out", "--config", tmp_path / "config") == (
        f"`{checkpoint}`: `model.embed_tokens.weight` is `[29, 8]`, and `[30, 8]` by the configuration (2 differ)",
        "name the configuration of the model that was trained: `--config FOLDER`",
    )


def test_without_zero_the_weights_are_in_the_models_file(tmp_path, convert):
    """As DeepSpeed saves with stage 0: no rank has a share, and a tied head is there twice."""
    shutil.copy(RESOURCES / "zero1/config.json", tmp_path)
    weights = load_file(RESOURCES / "zero1.safetensors")
    step = tmp_path / "global_step2"
    step.mkdir()
    (tmp_path / "latest").write_text("global_step2")
    torch.save({"module": weights, "buffer_names": [], "shared_params": {}}, step / "mp_rank_00_model_states.pt")
    convert(tmp_path, tmp_path / "out", "--dtype", "keep")
    assert written(tmp_path / "out") == written(saved("zero1", tmp_path / "saved", torch.float32))


def test_an_adapter_in_deepspeeds_files_is_named(tmp_path, convert):
    shutil.copy(RESOURCES / "zero1/config.json", tmp_path)
    weights = {"base_model.model.q_proj.lora_A.default.weight": torch.ones(2, 2)}
    torch.save({"module": weights, "buffer_names": []}, tmp_path / "mp_rank_00_model_states.pt")
    torch.save({}, tmp_path / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    assert refusal(convert, tmp_path, tmp_path / "out") == (
        f"`{tmp_path}`: `base_model.model.q_proj.lora_A.default.weight` belongs to a LoRA adapter, which is read from "
        "verl's and peft's folders alone",
        "save the adapter with peft's `save_pretrained`",
    )
