import json

import pytest

from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.preflight.recipe import resume as check
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Machine, Plan, Stage

NOTHING = Finding("resume", OK, "no stage continues from a sharded checkpoint")


def plan(*accelerators, nodes=1):
    stages = (Stage("warmup", ("python",)), Stage("adversarial", ("python",)))
    return Plan("run", "some-7b", stages, "one", Code("0"), Machine("lambda", accelerators, nodes))


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def saved(folder, stage, step, world):
    place = folder.stage(stage).work / f"global_step_{step}"
    place.mkdir(parents=True)
    (place / "complete.json").write_text(json.dumps({"step": step, "world_size": world}))
    return place


def test_a_new_run_and_one_without_shards_have_nothing_to_load(folder):
    assert check(plan("H100-SXM:8"), folder) == NOTHING
    (folder.stage("warmup").work / "checkpoint-3").mkdir(parents=True)
    (folder.stage("warmup").work / "checkpoint-3/complete.json").write_text('{"step": 3}')
    assert check(plan("H100-SXM:8"), folder) == NOTHING


def test_of_checkpoints_that_are_not_here_nobody_knows(folder):
    assert check(plan("H100-SXM:8"), folder, "in its bucket") == NOTHING
    folder.plan.write_text("{}")
    says = "not checked: the checkpoints of this run are in its bucket"
    unknown = Finding("resume", UNKNOWN, says, "take as many GPUs as before")
    assert check(plan("H100-SXM:8"), folder, "in its bucket") == unknown
    for stage in plan("H100-SXM:8").stages:
        folder.stage(stage.name).path.mkdir(parents=True)
        folder.stage(stage.name).done.write_text("{}")
    assert check(plan("H100-SXM:8"), folder, "in its bucket") == NOTHING
    folder.stage("warmup").done.unlink()
    saved(folder, "warmup", 100, 8)
    assert check(plan("H100-SXM:4"), folder, "in its bucket").level == REFUSED


def test_the_newest_checkpoint_decides(folder):
    saved(folder, "warmup", 100, 16)
    saved(folder, "warmup", 200, 8)
    assert check(plan("H100-SXM:8"), folder) == Finding("resume", OK, "warmup: 8 processes")
    assert check(plan("H100-SXM:4", nodes=2), folder).level == OK


def test_another_number_of_processes_is_refused(folder):
    saved(folder, "adversarial", 100, 8)
    assert check(plan("H100-SXM:4"), folder) == Finding(
        "resume",
        REFUSED,
        "`adversarial` has a checkpoint of 8 processes, and this machine has 4",
        "take 8 GPUs (`--gpus NAME:COUNT`), or do the stage anew: `--redo adversarial`",
    )


def test_a_launch_that_may_get_either_is_a_warning(folder):
    saved(folder, "warmup", 100, 8)
    assert check(plan("H100-SXM:8", "H200-SXM:4"), folder) == Finding(
        "resume", WARNING, "warmup: 8 processes; this launch may get [4, 8]", "name one with `--gpus`"
    )


def test_a_stage_that_is_done_loads_nothing_and_a_torn_marker_counts_for_nothing(folder):
    saved(folder, "warmup", 100, 16)
    folder.stage("warmup").done.write_text("{}")
    (saved(folder, "adversarial", 100, 16) / "complete.json").write_text('{"step": 1')
    assert check(plan("H100-SXM:8"), folder) == NOTHING
