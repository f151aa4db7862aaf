"""Checkpoints and weights that somebody else wrote, or that a disk changed: converted, or refused in a sentence."""

import json
import os
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from recipes.common.checkpoint import weights_folder  # noqa: E402
from recipes.common.checkpoint.convert import convert  # noqa: E402
from recipes.common.checkpoint.hf_tensors import open_stored  # noqa: E402
from recipes.common.checkpoint.lora import merge, open_adapter  # noqa: E402
from recipes.common.stage.command import StageError  # noqa: E402
from recipes.common.trl import checkpoints as of_trl  # noqa: E402
from recipes.common.verl import checkpoints as of_verl  # noqa: E402
from tests.fuzz.hostile import NAMES, as_json, damaged, mutated, spliced, trials, written  # noqa: E402
from tests.fuzz.outcome import only_below  # noqa: E402
from tests.recipes.common.conftest import ranks_of_one_process, share  # noqa: E402

HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 1}
CONFIG = {"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": False, "hidden_size": 4, **HEADS}
FSDP = {"FSDP_version": 2, "world_size": 2}
TENSORS = {"model.embed_tokens.weight": (6, 4), "model.norm.weight": (4,), "lm_head.weight": (6, 4), "count": ()}
ADAPTER = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "target_modules": ["norm"]}


def refused(call, *args):
    """The sentence that it refuses with; None when it does not. All else is a defect."""
    try:
        call(*args)
    except StageError as problem:
        assert problem.code in (2, 3) and problem.error.strip() and problem.hint.strip()
        return problem.error
    return None


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A role of two ranks, a model and an adapter for it, as they should be."""
    folder = tmp_path_factory.mktemp("outer") / "a"
    role, model, adapter = (folder / name for name in ("whole/actor", "whole/model", "whole/adapter"))
    for part in (role / "huggingface", model, adapter):
        part.mkdir(parents=True)
    torch.manual_seed(1)
    tensors = {name: torch.randn(shape) if shape else torch.tensor(3) for name, shape in TENSORS.items()}
    (role / "huggingface/config.json").write_text(json.dumps(CONFIG))
    (role / "fsdp_config.json").write_text(json.dumps(FSDP))
    with ranks_of_one_process(2):
        from torch.distributed.device_mesh import init_device_mesh

        mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("fsdp",))
        for rank in range(2):
            state = {name: share(tensor, 0 if tensor.ndim else None, mesh, rank) for name, tensor in tensors.items()}
            torch.save(state, role / f"model_world_size_2_rank_{rank}.pt")
    weights = {name: tensor for name, tensor in tensors.items() if tensor.ndim}
    save_file(weights, model / "model.safetensors")
    (model / "config.json").write_text(json.dumps(CONFIG))
    (model / "tokenizer_config.json").write_text("{}")
    index = {"weight_map": dict.fromkeys(weights, "model.safetensors")}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    pair = {"A": torch.ones(2, 4), "B": torch.ones(6, 2)}
    save_file(
        {f"base_model.model.lm_head.lora_{side}.weight": value for side, value in pair.items()},
        adapter / "adapter_model.safetensors",
    )
    (adapter / "adapter_config.json").write_text(json.dumps(ADAPTER))
    return folder


def broken(scene):
    """A copy that may be broken."""
    shutil.rmtree(scene / "work", ignore_errors=True)
    shutil.copytree(scene / "whole", scene / "work")
    return scene / "work"


def converted(work):
    out = work / "out"
    said = refused(lambda: convert(work / "actor", out, torch.bfloat16, 1 << 30, lambda *_: None))
    assert out.exists() == (said is None), said
    assert not list(work.glob(".*.part"))
    if said is None:
        load_file(out / "model.safetensors")
    return said


def merged(work):
    out = work / "merged"
    said = refused(lambda: merge(work / "model", work / "adapter", out, None, 1 << 30, lambda *_: None))
    assert out.exists() == (said is None), said
    return said


def test_what_is_whole_is_converted_and_merged(scene):
    work = broken(scene)
    assert converted(work) is None and merged(work) is None
    weights_folder.check("model", work / "model")


FILES = sorted(
    [
        "actor/fsdp_config.json",
        "actor/huggingface/config.json",
        "actor/model_world_size_2_rank_0.pt",
        "actor/model_world_size_2_rank_1.pt",
        "model/config.json",
        "model/model.safetensors",
        "model/model.safetensors.index.json",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
    ]
)


@trials(40)
@given(name=st.sampled_from(FILES), data=st.data())
def test_a_damaged_file_is_a_sentence(scene, name, data):
    work = broken(scene)
    path = work / name
    raw = path.read_bytes()
    if name.endswith(".json"):
        value = json.loads(raw)
        path.write_bytes(written(data.draw(mutated(value).map(as_json) | spliced(as_json(value)))))
    else:
        path.write_bytes(data.draw(damaged(raw) | damaged(raw[:900]).map(lambda head: head + raw[900:])))
    with only_below(work, scene):
        converted(work) if name.startswith("actor") else merged(work)
        refused(lambda: weights_folder.check("model", work / "model"))


@trials(30)
@given(data=st.data())
def test_a_header_that_contradicts_itself_is_a_sentence(scene, data):
    work = broken(scene)
    name = data.draw(st.sampled_from(("model/model.safetensors", "adapter/adapter_model.safetensors")))
    raw = (work / name).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = written(as_json(data.draw(mutated(json.loads(raw[8 : 8 + length])))))
    (work / name).write_bytes(struct.pack("<Q", len(header)) + header + raw[8 + length :])
    merged(work)
    if refused(lambda: open_stored(work / "model")) is None:
        for tensor in open_stored(work / "model").values():
            assert (
                tensor.offset >= 8
                and tensor.offset + tensor.numel * tensor.dtype.itemsize <= tensor.file.stat().st_size
            )
    refused(lambda: open_adapter(work / "adapter"))


@pytest.mark.parametrize("swap", ["ranks", "twice", "gone", "another world", "link away", "link to itself", "folder"])
def test_shards_that_are_not_of_one_save_are_refused_or_mean_what_they_say(scene, swap):
    work = broken(scene)
    first, second = (work / f"actor/model_world_size_2_rank_{rank}.pt" for rank in range(2))
    if swap == "ranks":
        first.rename(work / "kept")
        second.rename(first)
        (work / "kept").rename(second)
    elif swap == "twice":
        shutil.copy(first, second)
    elif swap == "gone":
        second.unlink()
    elif swap == "another world":
        second.rename(work / "actor/model_world_size_4_rank_1.pt")
    else:
        second.unlink()
        second.mkdir() if swap == "folder" else second.symlink_to(second if swap == "link to itself" else "/etc/passwd")
    said = converted(work)
    assert said or swap in ("ranks", "twice")  # whose shapes fit


def test_a_file_of_the_configuration_s_folder_that_leads_elsewhere_is_copied_as_what_it_is(scene):
    work = broken(scene)
    (scene.parent / "outside").mkdir(exist_ok=True)
    (work / "actor/huggingface/extra").symlink_to(scene.parent / "outside")
    (work / "actor/huggingface/gone.json").symlink_to("/nonexistent")
    with only_below(work, scene.parent):
        converted(work)


MARKER = {"mode": "warmup", "step": 3, "world_size": 2, "score": 0.5, "files": {"actor/a": 1, "complete.json": 2}}


@trials(40)
@given(marker=mutated(MARKER).map(as_json) | spliced(as_json(MARKER)), name=st.sampled_from(NAMES))
def test_a_marker_that_is_none_is_a_sentence_and_its_files_stay_below(scene, marker, name):
    work = broken(scene)
    for folder in (work / "global_step_3", work / "checkpoint-3"):
        (folder / "actor").mkdir(parents=True)
        (folder / "actor/a").write_text("x")
        (folder / "complete.json").write_bytes(written(marker))
    with only_below(work, scene):
        refused(lambda: of_trl.newest(work))
        found = []
        refused(lambda: found.append(of_verl.newest(work)))
        of_trl.remove_incomplete(work)
        of_verl.remove_incomplete(work)
        for checkpoint in filter(None, found):
            refused(lambda checkpoint=checkpoint: of_verl.check(checkpoint, "warmup", "warmup", 2, ("actor",)))
            if all(os.path.isfile(checkpoint.folder / path) for path in checkpoint.files):  # no name is too long for it
                of_verl.export(checkpoint, ("actor",), work / "exported")
    marker = {**MARKER, "files": {name: 1}}
    (work / "global_step_9").mkdir()
    (work / "global_step_9/complete.json").write_bytes(written(as_json(marker)))
    said = refused(lambda: of_verl.read(work / "global_step_9"))
    assert said or not os.path.normpath(Path("/x") / name).startswith(("/planted", "/..")) or name.startswith("~")
