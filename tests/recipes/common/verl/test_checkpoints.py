import json
from pathlib import Path

import pytest

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
