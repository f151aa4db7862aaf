"""Checkpoints that count only when whole, and warmups that end."""

import pytest

from recipes.common.stage.command import StageError
from recipes.common.trl import checkpoints
from recipes.common.trl.hyperparameters import Hyper, schedule

GOOD = {
    "device": "cpu",
    "dtype": "float32",
    "nf4": False,
    "lora_rank": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "epochs": 3.0,
    "batch": 4,
    "accumulate": 4,
    "lr": 2e-4,
    "warmup": 0.03,
    "grad_clip": 0.3,
    "optimizer": "adamw_torch",
    "recompute": True,
    "max_length": 2048,
    "save_every": 50,
    "keep_last": 1,
    "seed": 42,
}


@pytest.mark.parametrize("rows", [1, 2, 3, 15, 16, 17, 540, 900, 1258])
@pytest.mark.parametrize("warmup", [0.0, 0.03, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("epochs", [0.01, 1.0, 3.0])
def test_a_warmup_never_outlasts_its_training(rows, warmup, epochs):
    made = schedule(rows, 4, 4, epochs, warmup, 50)
    assert made.steps >= 1 and 0 <= made.warmup < made.steps


def test_the_study_s_steps_are_what_they_were():
    assert schedule(900, 12, 2, 3.0, 0.03, 50).steps == 114
    assert (schedule(540, 8, 2, 1.0, 0.1, 20).steps, schedule(540, 8, 2, 1.0, 0.1, 20).warmup) == (34, 4)


def test_only_a_checkpoint_with_its_marker_counts(tmp_path):
    for step in (8, 16, 24):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"states")
    assert checkpoints.newest(tmp_path / "none") is None
    for step in (8, 16):
        checkpoints.complete(tmp_path / f"checkpoint-{step}", step)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-16"
    checkpoints.remove_incomplete(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-16", "checkpoint-8"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"device": "tpu"}, "`device` is `tpu`, not one of `cuda`, `cpu`"),
        ({"dtype": "int8"}, "`dtype` is `int8`, not one of `bfloat16`, `float16`, `float32`"),
        ({"batch": 0}, "`batch` is `0`, less than 1"),
        ({"lr": 0.0}, "`lr` is `0.0`, not above 0"),
        ({"warmup": 1.0}, "`warmup` is `1.0`, not a number from 0 to below 1"),
        ({"dtype": "float16"}, "`dtype` is `float16`; on a CPU it is `float32`"),
        (
            {"optimizer": "paged_adamw_8bit"},
            "`optimizer` is `paged_adamw_8bit`, which needs a GPU; on a CPU take `adamw_torch`",
        ),
    ],
)
def test_values_that_cannot_be_are_refused(changes, says):
    Hyper(**GOOD)
    with pytest.raises(ValueError) as caught:
        Hyper(**GOOD | changes)
    assert str(caught.value) == says


@pytest.mark.parametrize("text", ['{"step": "3"}', "[3]", '{"stop": 3}'])
def test_a_marker_that_is_none_of_ours_is_a_sentence_and_deletes_nothing(tmp_path, text):
    path = tmp_path / "checkpoint-3/complete.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(StageError) as caught:
        checkpoints.newest(tmp_path)
    checkpoints.remove_incomplete(tmp_path)
    assert caught.value.error == f"`{path}` is not the marker of a checkpoint" and path.exists()
    assert caught.value.hint == "delete the folder, or its marker"
