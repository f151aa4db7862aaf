"""A folder that is not one whole role says so; nothing in it is executed."""

import errno
import json
import logging
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.device_mesh import DeviceMesh

from recipes.common.checkpoint.difference import open_weights
from recipes.common.checkpoint.fsdp import load_rank, open_shards, world_size
from recipes.common.checkpoint.records import read_records
from recipes.common.stage.command import StageError


class Harmful:
    """Unpickling this makes the folder `executed`."""

    def __reduce__(self):
        return (os.mkdir, ("executed",))


@pytest.fixture
def folder(write_role):
    return write_role({"w": torch.arange(8.0)}, (2,))


def refusal(function, *args):
    with pytest.raises(StageError) as caught:
        function(*args)
    return caught.value.error, caught.value.hint


def test_a_folder_above_the_roles_is_refused_with_the_first_role_in_the_hint(folder):
    assert refusal(world_size, folder.parent) == (
        f"`{folder.parent}`: no `fsdp_config.json`, so this is not one role of a verl FSDP checkpoint",
        f"did you mean `{folder}`?",
    )


def test_a_folder_without_roles_is_refused(tmp_path):
    assert refusal(world_size, tmp_path / "none") == (
        f"`{tmp_path / 'none'}`: no `fsdp_config.json`, so this is not one role of a verl FSDP checkpoint",
        "give the folder of one role, such as `global_step_100/actor`",
    )


@pytest.mark.parametrize(
    ("text", "value"), [("{", None), ("[]", None), ("{}", None), ('{"world_size": "2"}', "2"), ('{"world_size": 0}', 0)]
)
def test_a_world_size_that_is_not_a_number_of_ranks_is_refused(folder, text, value):
    file = folder / "fsdp_config.json"
    file.write_text(text)
    assert refusal(world_size, folder) == (
        f"`{file}`: `world_size` is `{value}`, not a number of ranks",
        "the checkpoint was not saved to its end: use the one before it",
    )


def test_without_fsdp_config_the_rank_files_say_how_many_they_are(folder):
    """An earlier verl did not write it."""
    (folder / "fsdp_config.json").unlink()
    assert world_size(folder) == 2
    assert open_weights(folder)["w"].full().tolist() == list(range(8))
    (folder / "model_world_size_4_rank_0.pt").write_bytes(b"")
    assert refusal(world_size, folder)[0] == (
        f"`{folder}`: no `fsdp_config.json`, so this is not one role of a verl FSDP checkpoint"
    )


def test_a_missing_rank_is_named(folder):
    (folder / "model_world_size_2_rank_1.pt").unlink()
    assert refusal(load_rank, folder, 2, 1) == (
        f"`{folder}`: `model_world_size_2_rank_1.pt` is missing",
        "each of the 2 ranks wrote one file: copy those left on other nodes, or use an earlier checkpoint",
    )


def test_rank_files_of_another_world_size_are_named(folder):
    (folder / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": 4}))
    assert refusal(load_rank, folder, world_size(folder), 0) == (
        f"`{folder}`: `fsdp_config.json` says world size `4`, the rank files say `2`",
        "two runs were mixed in one folder: copy the checkpoint again into an empty one",
    )


def with_pickle(file, edit):
    """The file's bytes, which it holds now, after its pickle was edited and given the checksum that it needs then."""
    raw = file.read_bytes()
    pickle = next(record for record in read_records(file) if record.name == "data.pkl")
    before = raw[pickle.offset : pickle.offset + pickle.length]
    after = edit(before)
    assert len(after) == len(before) and after != before
    raw = raw.replace(before, after).replace(struct.pack("<I", pickle.crc), struct.pack("<I", zlib.crc32(after)))
    file.write_bytes(raw)
    return raw


def test_a_tensor_that_damage_left_without_a_part_is_refused(folder):
    file = folder / "model_world_size_2_rank_1.pt"
    raw = with_pickle(file, lambda pickled: pickled.replace(b"_local_tensor", b"_local_tensoR"))
    assert refusal(load_rank, folder, 2, 1)[0] == f"`{file}`: cut short or damaged ({len(raw)} bytes)"


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_rank_file_cut_short_anywhere_is_refused_with_its_size(folder, kept):
    file = folder / "model_world_size_2_rank_1.pt"
    file.write_bytes(file.read_bytes()[:kept])
    assert refusal(load_rank, folder, 2, 1) == (
        f"`{file}`: cut short or damaged ({file.stat().st_size} bytes)",
        "copy the file again, or use an earlier checkpoint",
    )


def test_a_damaged_list_of_tensors_is_refused_before_it_is_read(folder):
    file = folder / "model_world_size_2_rank_1.pt"
    file.write_bytes(file.read_bytes().replace(b"_local_tensor", b"_local_tensoR"))
    error, hint = refusal(load_rank, folder, 2, 1)
    assert error.startswith(f"`{file}`: record `data.pkl` is damaged: its CRC-32 is `")
    assert hint == "copy the file again, or use an earlier checkpoint"


def test_a_file_of_torch_before_1_6_says_how_to_save_it_again(folder, monkeypatch):
    """And that command works."""
    file = folder / "model_world_size_2_rank_1.pt"
    torch.save(torch.load(file), file, _use_new_zipfile_serialization=False)
    error, hint = refusal(load_rank, folder, 2, 1)
    assert error == f"`{file}`: is in the format of torch before 1.6, which cannot be mapped into memory"
    command = re.fullmatch(r"save it again: `python -c \"(.*)\"`", hint)[1]
    subprocess.run([sys.executable, "-c", command], check=True, capture_output=True)
    assert load_rank(folder, 2, 1)["w"].to_local().tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize(
    "problem",
    [RuntimeError("unable to mmap 8 bytes from file <x>: Cannot allocate memory (12)"), MemoryError()],
    ids=["mmap", "python"],
)
def test_too_little_address_space_is_not_called_damage(folder, monkeypatch, problem):
    def load(*args, **options):
        raise problem

    monkeypatch.setattr(torch, "load", load)
    file = folder / "model_world_size_2_rank_1.pt"
    assert refusal(load_rank, folder, 2, 1) == (
        f"`{file}`: this process may not map its {file.stat().st_size:,} bytes into memory: Cannot allocate memory",
        "the address space is limited, as on many login nodes: `ulimit -v unlimited`, or convert in a job",
    )


def test_a_file_that_may_not_be_read_is_not_called_damaged(folder, monkeypatch):
    def deny(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    file = folder / "model_world_size_2_rank_1.pt"
    monkeypatch.setattr("zipfile.ZipFile", deny)  # root may read every file
    assert refusal(load_rank, folder, 2, 1) == (
        f"`{file}`: Permission denied",
        f"ask its owner, or give yourself the right to read it: `chmod u+r {file}`",
    )


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (
            {"w": torch.ones(2), "x": Harmful()},
            "holds a pickled `posix.mkdir`, which is not a tensor and was not loaded",
        ),
        ({"w": torch.ones(2), "step": 3}, "`step` is of type `int`, not a tensor"),
        ([torch.ones(2)], "holds a `list`, not a dictionary of tensors"),
    ],
)
def test_what_is_not_a_tensor_is_refused_by_name_and_not_executed(folder, monkeypatch, payload, what):
    monkeypatch.chdir(folder)
    file = folder / "model_world_size_2_rank_0.pt"
    torch.save(payload, file)
    assert refusal(load_rank, folder, 2, 0) == (
        f"`{file}`: {what}",
        "verl writes tensors alone into this file: find out who wrote this one before you use it",
    )
    assert not (folder / "executed").exists()


def test_tensors_keep_the_models_order(write_role):
    names = ["model.embed", "model.layers.2", "model.layers.10", "lm_head"]
    folder = write_role({name: torch.ones(2) for name in names}, (1,))
    assert list(load_rank(folder, 1, 0)) == names


def test_a_file_saved_on_a_gpu_is_read_without_one(write_role, monkeypatch):
    state_of = DeviceMesh.__getstate__
    monkeypatch.setattr(DeviceMesh, "__getstate__", lambda mesh: {**state_of(mesh), "_device_type": "cuda"})
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    folder = write_role({"w": torch.arange(8.0)}, (2,))
    value = load_rank(folder, 2, 1)["w"]
    assert value.device_mesh.device_type == "cuda"
    assert b"cuda:0" in (folder / "model_world_size_2_rank_1.pt").read_bytes()
    assert value.to_local().tolist() == [4, 5, 6, 7]


def test_no_message_of_torch_about_process_groups_comes_through(folder, caplog):
    log = logging.getLogger("torch.distributed.device_mesh")
    log.addHandler(caplog.handler)
    before = log.level
    load_rank(folder, 2, 0)
    log.removeHandler(caplog.handler)
    assert caplog.records == []
    assert log.level == before


def test_rank_files_that_another_torch_saved_are_read():
    folder = Path(__file__).parent / "resources/torch-2.11.0"
    assert not torch.__version__.startswith("2.11.")
    tensors = {name: tensor.full() for name, tensor in open_shards(folder).items()}
    whole = load_file(folder / "whole.safetensors")
    assert tensors.keys() == whole.keys()
    assert all(torch.equal(tensors[name], whole[name]) for name in whole)
