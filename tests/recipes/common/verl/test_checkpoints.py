import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from recipes.common.checkpoint.records import content_hash
from recipes.common.stage.command import StageError
from recipes.common.verl import checkpoints


def write(work: Path, step: int, score=None, roles=("actor", "critic"), mode="warmup", world=1):
    folder = checkpoints.folder_of(work, step)
    for role in roles:
        (folder / role / "huggingface").mkdir(parents=True)
        (folder / role / "model.pt").write_bytes(b"x" * 1500)
        (folder / role / "huggingface" / "config.json").write_text("{}")
    return checkpoints.complete(folder, mode, step, world, score)


def check(checkpoint, mode="warmup", runs="warmup", world=1, roles=("actor", "critic")):
    checkpoints.check(checkpoint, mode, runs, world, roles)


def test_the_marker_holds_what_the_folder_holds(tmp_path):
    written = write(tmp_path, 2, score=0.5)
    marker = json.loads((tmp_path / "global_step_2" / "complete.json").read_text())
    hashes = marker.pop("hashes")
    assert {name: content_hash(written.folder / name) for name in marker["files"]} == hashes
    assert hashes["actor/huggingface/config.json"] == f"bytes:{hashlib.sha256(b'{}').hexdigest()}"
    assert marker == {
        "mode": "warmup",
        "step": 2,
        "world_size": 1,
        "score": 0.5,
        "files": {
            "actor/huggingface/config.json": 2,
            "actor/model.pt": 1500,
            "critic/huggingface/config.json": 2,
            "critic/model.pt": 1500,
        },
    }
    assert checkpoints.read(tmp_path / "global_step_2") == written


def test_the_newest_is_the_highest_step_not_the_last_name(tmp_path):
    for step in (9, 10):
        write(tmp_path, step)
    assert checkpoints.newest(tmp_path).step == 10


def test_an_unfinished_folder_is_removed_and_said(tmp_path, capsys):
    write(tmp_path, 1)
    unfinished = tmp_path / "global_step_2" / "actor"
    unfinished.mkdir(parents=True)
    checkpoints.remove_incomplete(tmp_path)
    assert checkpoints.newest(tmp_path).step == 1
    assert not unfinished.parent.exists()
    assert capsys.readouterr().out == f"removed {unfinished.parent}: it was interrupted while it was written\n"


def test_verls_tracker_file_decides_nothing(tmp_path):
    write(tmp_path, 3)
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("99")
    assert checkpoints.newest(tmp_path).step == 3


def test_an_empty_work_folder_has_no_checkpoint(tmp_path):
    assert checkpoints.newest(tmp_path) is None


def test_a_truncated_file_is_an_error_with_both_sizes(tmp_path):
    checkpoint = write(tmp_path, 4)
    file = checkpoint.folder / "critic" / "model.pt"
    file.write_bytes(b"x")
    with pytest.raises(StageError) as caught:
        check(checkpoint)
    assert caught.value.error == f"`{file}` has 1 bytes instead of 1,500"
    assert caught.value.hint == (
        f"delete `{checkpoint.folder}` to fall back to the checkpoint before it, or to the start"
    )


def test_a_missing_file_is_an_error(tmp_path):
    checkpoint = write(tmp_path, 4)
    file = checkpoint.folder / "actor" / "model.pt"
    file.unlink()
    with pytest.raises(StageError) as caught:
        check(checkpoint)
    assert caught.value.error == f"`{file}` is missing"


def test_another_mode_is_refused(tmp_path):
    checkpoint = write(tmp_path, 4)
    with pytest.raises(StageError) as caught:
        check(checkpoint, mode="adversarial", runs="adversarial")
    assert caught.value.error == f"`{checkpoint.folder}` was written by mode `warmup`, this stage runs `adversarial`"
    assert caught.value.hint == "give this stage a work folder of its own"


def test_a_start_of_another_mode_is_refused(tmp_path):
    checkpoint = write(tmp_path, 4, mode="seqkd", roles=("actor",))
    with pytest.raises(StageError) as caught:
        check(checkpoint, mode="warmup", runs="adversarial")
    assert caught.value.error == f"`{checkpoint.folder}` was written by mode `seqkd`, this stage runs `adversarial`"
    assert caught.value.hint == "give it the output of a `warmup` stage"


def test_another_world_size_is_refused_with_both_numbers(tmp_path):
    checkpoint = write(tmp_path, 4, world=8)
    with pytest.raises(StageError) as caught:
        check(checkpoint, world=4)
    assert caught.value.error == f"`{checkpoint.folder}` was written by 8 training processes, this stage has 4"
    assert caught.value.hint == "run it with 8 (`ranks` times nodes), or start again in an empty work folder"


def test_a_checkpoint_without_a_critic_is_refused_in_words(tmp_path):
    checkpoint = write(tmp_path, 4, roles=("actor",))
    with pytest.raises(StageError) as caught:
        check(checkpoint)
    assert caught.value.error == f"`{checkpoint.folder}` holds no `critic`: the stage that wrote it did not train one"


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    for step, score in {1: 0.1, 2: 0.9, 3: None, 4: 0.2, 5: 0.3}.items():
        write(tmp_path, step, score)
    checkpoints.prune(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["global_step_2", "global_step_4", "global_step_5"]


def test_of_equal_scores_the_later_is_the_best(tmp_path):
    for step in (1, 2, 3, 4):
        write(tmp_path, step, 0.5 if step < 3 else 0.1)
    checkpoints.prune(tmp_path, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["global_step_2", "global_step_4"]


def test_export_links_the_roles_and_copies_nothing_else(tmp_path):
    checkpoint = write(tmp_path / "work", 4)
    checkpoints.export(checkpoint, ("actor",), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["actor", "complete.json"]
    assert (tmp_path / "out/actor/model.pt").samefile(checkpoint.folder / "actor/model.pt")
    checkpoints.export(checkpoint, ("actor",), tmp_path / "out")  # a restart finds what the first attempt left


@pytest.mark.parametrize(
    "changed",
    [
        {"step": "3"},
        {"more": 1},
        {"files": {"../a": 1}},
        {"files": {"/etc/a": 1}},
        {"files": {"a" * 256: 1}},
        {"files": ["a"]},
        {"score": "best"},
        {"hashes": ["a"]},
        {"hashes": {"actor/a": 1}},
    ],
    ids=lambda changed: json.dumps(changed)[:40],
)
def test_a_marker_that_is_none_of_ours_is_a_sentence_and_deletes_nothing(tmp_path, changed):
    marker = {"mode": "warmup", "step": 3, "world_size": 2, "score": None, "files": {"actor/a": 1}} | changed
    path = tmp_path / "global_step_3/complete.json"
    path.parent.mkdir()
    path.write_text(json.dumps(marker))
    with pytest.raises(StageError) as caught:
        checkpoints.newest(tmp_path)
    checkpoints.remove_incomplete(tmp_path)
    assert caught.value.error == f"`{path}` is not the marker of a checkpoint"
    assert caught.value.hint == "delete the folder, or its marker" and path.exists()


def write_ranks(work: Path, step: int):
    """A checkpoint of two ranks, whose files of any step have the same size."""
    folder = checkpoints.folder_of(work, step)
    (folder / "actor/huggingface").mkdir(parents=True)
    (folder / "actor/huggingface/config.json").write_text("{}")
    for rank in range(2):
        with zipfile.ZipFile(folder / f"actor/model_world_size_2_rank_{rank}.pt", "w") as archive:
            archive.writestr("data/0", f"rank {rank} of step {step}")
    return checkpoints.complete(folder, "warmup", step, 2, None)


def test_a_rank_file_of_another_step_is_refused_by_name(tmp_path):
    first, second = (write_ranks(tmp_path, step) for step in (1, 2))
    role, name = second.folder / "actor", "model_world_size_2_rank_1.pt"
    assert checkpoints.demand_one_save(role) == "the rank files are those of step 2, by its `complete.json`"
    shutil.copy(first.folder / "actor" / name, role / name)
    fault = f"`{role / name}` is of another save: its hash is not the one that was saved"
    with pytest.raises(StageError) as caught:
        checkpoints.demand_one_save(role)
    assert caught.value.error == f"{fault}, by `complete.json` of step 2"
    assert caught.value.hint == "copy the file of step 2 again, or use another checkpoint"
    with pytest.raises(StageError) as caught:  # nor does a training go on from it
        check(second, world=2, roles=("actor",))
    assert caught.value.error == fault


def test_a_rank_file_that_the_marker_does_not_know_is_refused(tmp_path):
    role = write_ranks(tmp_path, 1).folder / "actor"
    shutil.copy(role / "model_world_size_2_rank_1.pt", role / "model_world_size_2_rank_2.pt")
    with pytest.raises(StageError) as caught:
        checkpoints.demand_one_save(role)
    assert caught.value.error == (
        f"`{role}/model_world_size_2_rank_2.pt` is not one of its files, by `complete.json` of step 1"
    )


def test_a_configuration_that_was_corrected_by_hand_is_accepted(tmp_path):
    role = write_ranks(tmp_path, 1).folder / "actor"
    (role / "huggingface/config.json").write_text("[]")
    assert checkpoints.demand_one_save(role) == "the rank files are those of step 1, by its `complete.json`"


def test_a_marker_of_an_earlier_version_vouches_for_sizes_alone(tmp_path):
    checkpoint = write_ranks(tmp_path, 1)
    path = checkpoint.folder / "complete.json"
    marker = json.loads(path.read_text())
    del marker["hashes"]
    path.write_text(json.dumps(marker))
    check(checkpoints.read(checkpoint.folder), world=2, roles=("actor",))
    assert checkpoints.demand_one_save(checkpoint.folder / "actor") == (
        "`complete.json` of step 1 has only sizes: nothing vouches for what the rank files hold"
    )


def test_without_a_marker_it_is_said_that_nothing_vouches(tmp_path):
    checkpoint = write_ranks(tmp_path, 1)
    (checkpoint.folder / "complete.json").unlink()
    role = checkpoint.folder / "actor"
    assert checkpoints.demand_one_save(role) == (
        f"no `complete.json` is beside `{role}`: nothing vouches that its rank files are of one save"
    )
