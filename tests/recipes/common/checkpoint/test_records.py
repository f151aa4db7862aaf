"""What `torch.save` wrote is compared with its own checksums, however it is read."""

import random
import shutil
import zipfile
import zlib
from itertools import pairwise

import pytest
import torch

from recipes.common.checkpoint import records, sharded_tensor
from recipes.common.checkpoint.convert import convert
from recipes.common.checkpoint.fsdp import open_shards
from recipes.common.checkpoint.records import Checksums, Record, combined, content_hash, read_records
from recipes.common.checkpoint.verify import verify
from recipes.common.stage.command import StageError
from recipes.common.verl import checkpoints
from tests.recipes.common.checkpoint.architectures import model_of

AGAIN = "copy the file again, or use an earlier checkpoint"


def silent(done, total):
    pass


def refusal(function, *args):
    with pytest.raises(StageError) as caught:
        function(*args)
    return caught.value.error, caught.value.hint


def record_of(file, name):
    return next(record for record in read_records(file) if record.name == name)


def change(file, offset, values):
    """In its place: what has mapped the file sees it."""
    with open(file, "r+b") as handle:
        handle.seek(offset)
        handle.write(values)


def flip(file, offset):
    change(file, offset, bytes([file.read_bytes()[offset] ^ 4]))


def read_all(folder):
    """Every tensor of the role, after the comparison with the checksums."""
    checksums = Checksums()
    tensors = {name: tensor.full() for name, tensor in open_shards(folder, checksums).items()}
    checksums.finish()
    return tensors


@pytest.mark.parametrize("lengths", [(0, 5), (5, 0), (1, 1), (17, 4096), (3, 1_000_003)])
def test_two_checksums_make_that_of_both_runs_of_bytes(lengths):
    first, second = map(random.Random(1).randbytes, lengths)
    assert combined(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


@pytest.mark.parametrize("seed", range(5))
def test_pieces_in_any_order_twice_or_never_make_the_records_checksum(tmp_path, seed):
    chance = random.Random(seed)
    raw, file = chance.randbytes(500), tmp_path / "file"
    file.write_bytes(b"before" + raw)
    cuts = sorted(chance.sample(range(501), 9))
    pieces = [*pairwise(cuts), (3, 77), (100, 300)]
    chance.shuffle(pieces)
    for crc, is_right in ((zlib.crc32(raw), True), (zlib.crc32(raw) ^ 1, False)):
        record = Record(file, "data/0", 6, 500, crc, "w")
        for start, stop in pieces:
            record.add(start, stop, zlib.crc32(raw[start:stop]))
        if is_right:
            record.finish()
        else:
            assert refusal(record.finish) == (
                f"`{file}`: record `data/0`, with tensor `w`, is damaged: its CRC-32 is `{crc ^ 1:08x}`, "
                f"and `{crc:08x}` was saved",
                AGAIN,
            )


LAYOUTS = {"rows": {"w": 0}, "columns": {"w": 1}, "replicated": {"w": None}, "plain": {"w": "plain"}}


@pytest.mark.parametrize("small", [0, 300, 1 << 20], ids=["threads", "here", "opened"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_bit_of_a_tensor_counts_wherever_it_is(write_role, monkeypatch, layout, small):
    monkeypatch.setattr(sharded_tensor, "BLOCK", 70)
    monkeypatch.setattr(records, "SMALL", small)
    tensors = {"w": torch.randn(13, 40), "v": torch.randn(7)}
    folder = write_role(tensors, (3,), LAYOUTS[layout])
    assert all(torch.equal(value, tensors[name]) for name, value in read_all(folder).items())
    chance = random.Random(layout)
    for rank in range(3):
        file = folder / f"model_world_size_3_rank_{rank}.pt"
        whole, record = file.read_bytes(), record_of(file, "data/0")
        for position in (0, record.length - 1, chance.randrange(record.length)):
            flip(file, record.offset + position)
            error, hint = refusal(read_all, folder)
            named = "" if small > 300 else ", with tensor `w`,"
            assert error.startswith(f"`{file}`: record `data/0`{named} is damaged: its CRC-32 is `")
            assert hint == AGAIN
            change(file, 0, whole)


def test_any_byte_of_a_rank_file_is_refused_or_changes_nothing(write_role):
    tensors = {"w": torch.randn(9, 5), "n": torch.arange(3)}
    folder = write_role(tensors, (1,), {"n": "plain"})
    file = folder / "model_world_size_1_rank_0.pt"
    whole = file.read_bytes()
    refused = 0
    for offset in range(0, len(whole), 3):
        flip(file, offset)
        try:
            after = read_all(folder)
        except StageError as problem:
            refused += 1
            assert str(file) in problem.error
        else:
            assert after.keys() == tensors.keys()
            assert all(torch.equal(after[name], tensors[name]) for name in tensors)
        change(file, 0, whole)
    assert refused > sum(record.length for record in read_records(file)) / 3


@pytest.fixture
def trained(write_role, tmp_path, monkeypatch):
    """A role of two ranks twice over, and its export."""
    monkeypatch.setattr(records, "SMALL", 100)
    model = model_of("Qwen2ForCausalLM")
    role = write_role(model.state_dict(), (2, 2), config=model.config.to_dict())
    convert(role, tmp_path / "export", None, 10**9, silent)
    return role


def number_of(name):
    """Of the record with a tensor of the model."""
    index = list(model_of("Qwen2ForCausalLM").state_dict()).index(name)
    return index and index + 1  # the mesh of ranks is in record 1


UP, HEAD = "model.layers.1.mlp.up_proj.weight", "lm_head.weight"


@pytest.mark.parametrize("damage", ["bit", "hole"])
@pytest.mark.parametrize(("rank", "name"), [(0, UP), (1, UP), (1, HEAD), (0, "model.embed_tokens.weight")])
def test_damage_is_refused_by_convert_and_by_verify_and_leaves_no_model(trained, tmp_path, damage, rank, name):
    file, number = trained / f"model_world_size_4_rank_{rank}.pt", number_of(name)
    record = record_of(file, f"data/{number}")
    if damage == "bit":
        flip(file, record.offset + 5)
    else:
        change(file, record.offset, bytes(record.length))
    expected = f"`{file}`: record `data/{number}`, with tensor `{name}`, is damaged: its CRC-32 is `"
    (tmp_path / "place").mkdir()
    error, hint = refusal(convert, trained, tmp_path / "place" / "out", None, 10**9, silent)
    assert (error[: len(expected)], hint) == (expected, AGAIN)
    assert list((tmp_path / "place").iterdir()) == []
    error, hint = refusal(verify, tmp_path / "export", trained, "Hi", silent)
    assert (error[: len(expected)], hint) == (expected, AGAIN)


def test_verify_sees_damage_that_the_export_shares(trained, tmp_path, monkeypatch):
    """The export was made of the damaged file by a converter that did not look."""
    file = trained / "model_world_size_4_rank_0.pt"
    flip(file, record_of(file, f"data/{number_of(UP)}").offset)
    monkeypatch.setattr(Checksums, "finish", lambda self: None)
    monkeypatch.setattr(Record, "_compare", lambda self, crc: None)
    convert(trained, tmp_path / "made", None, 10**9, silent)
    monkeypatch.undo()
    monkeypatch.setattr(records, "SMALL", 100)
    error, _ = refusal(verify, tmp_path / "made", trained, "Hi", silent)
    assert error.startswith(f"`{file}`: record `data/{number_of(UP)}`, with tensor `{UP}`, is damaged: ")


def test_a_tensor_that_is_not_exported_is_compared_too(write_role, tmp_path, monkeypatch):
    """The language model's head beside a value head. The mesh of ranks is a record too."""
    monkeypatch.setattr(records, "SMALL", 0)
    tensors = {"v_head.summary.weight": torch.ones(1, 4), "pretrained_model.w": torch.ones(4, 4)}
    folder = write_role({**tensors, "lm_head.weight": torch.ones(8, 4)}, (1,))
    convert(folder, tmp_path / "whole", None, 10**9, silent)
    file = folder / "model_world_size_1_rank_0.pt"
    flip(file, record_of(file, "data/3").offset + 9)
    error, _ = refusal(convert, folder, tmp_path / "out", None, 10**9, silent)
    assert error.startswith(f"`{file}`: record `data/3`, with tensor `lm_head.weight`, is damaged: ")


def test_the_file_of_a_replica_that_is_not_needed_is_not_read(trained, tmp_path):
    file = trained / "model_world_size_4_rank_2.pt"
    flip(file, record_of(file, "data/3").offset)
    convert(trained, tmp_path / "out", None, 10**9, silent)
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "export/model.safetensors").read_bytes()


def test_a_file_without_checksums_is_read_and_compared_with_nothing(write_role, monkeypatch):
    torch.serialization.set_crc32_options(False)
    try:
        folder = write_role({"w": torch.ones(5)}, (1,))
    finally:
        torch.serialization.set_crc32_options(True)
    assert {record.crc for record in read_records(folder / "model_world_size_1_rank_0.pt")} == {None}
    assert torch.equal(read_all(folder)["w"], torch.ones(5))


def test_a_process_without_a_right_to_threads_compares_by_itself(write_role, monkeypatch):
    def submit(*args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(records, "SMALL", 0)
    monkeypatch.setattr(records.ThreadPoolExecutor, "submit", submit)
    folder = write_role({"w": torch.ones(500)}, (2,))
    assert torch.equal(read_all(folder)["w"], torch.ones(500))
    file = folder / "model_world_size_2_rank_1.pt"
    flip(file, record_of(file, "data/0").offset)
    assert "record `data/0`, with tensor `w`, is damaged" in refusal(read_all, folder)[0]


def test_the_hash_of_a_file_is_that_of_its_content(tmp_path):
    for name, value in {"a": 1.0, "b": 1.0, "c": 2.0}.items():
        (tmp_path / name).mkdir()
        torch.save({"w": torch.full((1000,), value)}, tmp_path / name / "model.pt")
        (tmp_path / name / "config.json").write_text(str(value))
    for name in ("model.pt", "config.json"):
        first, same, other = (content_hash(tmp_path / folder / name) for folder in "abc")
        assert first == same != other
    assert zipfile.is_zipfile(tmp_path / "a/model.pt")


@pytest.mark.parametrize("rank", [1, 3], ids=["read", "of a replica that is not read"])
def test_a_rank_file_of_another_step_is_refused_by_convert_and_by_verify(trained, tmp_path, rank):
    name = f"model_world_size_4_rank_{rank}.pt"
    other = shutil.copytree(trained, trained.parent / "other") / name
    checkpoints.complete(trained.parent, "warmup", 7, 4, None)
    assert convert(trained, tmp_path / "right", None, 10**9, silent).vouched == (
        "the rank files are those of step 7, by its `complete.json`"
    )
    state = torch.load(other)
    state[UP].to_local().add_(1)
    torch.save(state, trained / name)
    expected = (
        f"`{trained / name}` is of another save: its hash is not the one that was saved, by `complete.json` of step 7"
    )
    assert (trained / name).stat().st_size == other.stat().st_size
    assert refusal(convert, trained, tmp_path / "out", None, 10**9, silent)[0] == expected
    assert refusal(verify, tmp_path / "right", trained, "Hi", silent)[0] == expected
    assert not (tmp_path / "out").exists()
