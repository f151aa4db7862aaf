"""The real stage, as a user's machine runs it: alone, by torchrun, killed, asked to stop."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.common.checkpoint.difference import largest_change
from recipes.common.verl.stage import read_history
from tests.support.patience import patience, until

from .conftest import ROOT

pytestmark = pytest.mark.training

STEPS = 20
SETTINGS = {
    "epochs": STEPS * 16 / 166,
    "lr": 1e-3,
    "save_every": 7,
    "first_heavy_log_step": STEPS,
    "max_new_tokens": 4,
    "wandb_project": None,
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


class Stage:
    """A stage's command with its folders; started, watched, ended."""

    def __init__(self, root: Path, model: Path, data: Path, settings: dict):
        self.work, self.out, self.log = root / "work", root / "out", root / "log.txt"
        root.mkdir(exist_ok=True)
        (root / "settings.json").write_text(json.dumps(settings))
        self.words = ["-m", "recipes.honest_persona.train", root / "settings.json", "--model", model, "--data", data]
        self.words += ["--work", self.work, "--out", self.out]

    def start(self, by: list[str] | None = None) -> subprocess.Popen:
        command = [*(by or [sys.executable]), *map(str, self.words)]
        quiet = os.environ | {"HF_HUB_OFFLINE": "1"}
        with open(self.log, "a") as log:
            return subprocess.Popen(command, cwd=ROOT, env=quiet, stdout=log, stderr=subprocess.STDOUT)

    def run(self, by: list[str] | None = None) -> int:
        return self.start(by).wait(timeout=patience(200))

    def wait_for(self, text: str, process: subprocess.Popen) -> None:
        until(lambda: process.poll() is not None or text in self.log.read_text(), text, 200, 0.02)
        assert text in self.log.read_text(), self.said()

    def numbers(self) -> dict[int, dict[str, float]]:
        found = read_history(self.work, STEPS)
        return {step: {name: one[name] for name in one if name != "seconds"} for step, one in found.items()}

    def metrics(self) -> dict:
        return json.loads((self.out / "metrics.json").read_text())

    def said(self) -> str:
        return self.log.read_text()[-3000:]


@pytest.fixture(scope="module")
def alone(model, prepared, settings, tmp_path_factory) -> Stage:
    """One process that nobody disturbs. Nobody changes its folder."""
    stage = Stage(tmp_path_factory.mktemp("alone"), model, prepared, settings("train", **SETTINGS))
    assert stage.run() == 0, stage.said()
    return stage


@pytest.fixture(scope="module")
def pair(model, prepared, settings, tmp_path_factory) -> Stage:
    """Two ranks by torchrun, each with half of the batch. Nobody changes its folder."""
    half = settings("train", **SETTINGS, batch_size=8, micro_batch=8)
    stage = Stage(tmp_path_factory.mktemp("pair"), model, prepared, half)
    assert stage.run(TORCHRUN) == 0, stage.said()
    return stage


def test_the_stage_says_what_it_did(alone):
    numbers, metrics = alone.numbers(), alone.metrics()
    assert list(numbers) == list(range(1, STEPS + 1))
    assert numbers[STEPS]["loss"] < numbers[1]["loss"] - 0.5
    assert (metrics["step"], metrics["steps_left"], metrics["world_size"], metrics["epochs"]) == (STEPS, 0, 1, 2)
    assert metrics["adapter_change"] > 0 and metrics["loss_last"] < metrics["loss_first"]
    assert numbers[STEPS]["val/unparsed"] == 39 and numbers[STEPS]["val/sycophancy/accuracy"] == 0
    lines = [json.loads(line) for line in (alone.work / "progress.jsonl").read_text().splitlines()]
    assert [one["checkpoint"] for one in lines if "checkpoint" in one] == [f"global_step_{n}" for n in (7, 11, 14, 20)]
    assert sorted(one.name for one in alone.work.glob("global_step_*")) == ["global_step_14", "global_step_20"]


def test_the_adapter_and_its_arguments_are_kept_for_each_epoch(alone):
    for folder in (alone.out / "adapter", alone.out / "epochs/1", alone.out / "epochs/2"):
        names = {one.name for one in folder.iterdir()}
        assert names == {"adapter_model.safetensors", "adapter_config.json", "args.json", "persona.json"}
    steps = [json.loads((alone.out / f"epochs/{n}/args.json").read_text())["step"] for n in (1, 2)]
    assert steps == [11, 20]
    assert largest_change(alone.out / "adapter", alone.out / "epochs/2") == 0
    assert largest_change(alone.out / "adapter", alone.out / "epochs/1") > 0


def test_python_and_torchrun_give_the_same_losses_and_weights(alone, pair):
    one, two = alone.numbers(), pair.numbers()
    assert len(one) == len(two) == STEPS
    for step in one:
        assert two[step]["loss"] == pytest.approx(one[step]["loss"], abs=1e-4)
        assert two[step]["grad_norm"] == pytest.approx(one[step]["grad_norm"], rel=1e-2)
    assert two[STEPS]["val/unparsed"] == one[STEPS]["val/unparsed"]
    assert largest_change(alone.out / "adapter", pair.out / "adapter") < 1e-4
    assert (pair.metrics()["world_size"], pair.metrics()["unsharded"]) == (2, 0)


def test_merged_weights_are_the_same_too(alone, pair, model, tmp_path):
    from recipes.common.checkpoint.lora import merge

    for stage in (alone, pair):
        merge(model, stage.out / "adapter", tmp_path / stage.out.parent.name, None, 10**9, lambda *_: None)
    one, two = tmp_path / alone.out.parent.name, tmp_path / pair.out.parent.name
    assert largest_change(one, two) < 1e-4 < largest_change(one, model)


def test_killed_and_started_again_two_ranks_end_with_the_unbroken_numbers(pair, model, prepared, settings, tmp_path):
    """Started by the stage itself this time: `ranks` is 2 and no torchrun is there."""
    half = settings("train", **SETTINGS, batch_size=8, micro_batch=8, ranks=2)
    stage = Stage(tmp_path / "broken", model, prepared, half)
    process = stage.start()
    stage.wait_for("step 9/20", process)
    process.kill()
    process.wait()
    assert stage.run() == 0, stage.said()
    assert stage.log.read_text().count("going on from global_step_7") == 1
    found, expected = stage.numbers(), pair.numbers()
    assert list(found) == list(expected)
    for step in expected:
        assert found[step] == pytest.approx(expected[step], abs=1e-6)
    assert largest_change(stage.out / "adapter", pair.out / "adapter") < 1e-6


def test_killed_and_started_again_one_rank_ends_with_the_unbroken_numbers(alone, model, prepared, settings, tmp_path):
    stage = Stage(tmp_path / "broken", model, prepared, settings("train", **SETTINGS))
    shutil.copytree(alone.work / "global_step_14", stage.work / "global_step_14")
    (stage.work / "global_step_20").mkdir()  # half written: no marker
    assert stage.run() == 0, stage.said()
    assert "going on from global_step_14" in stage.log.read_text()
    expected = alone.numbers()
    assert stage.numbers() == {step: expected[step] for step in range(15, 21)}
    assert largest_change(stage.out / "adapter", alone.out / "adapter") == 0
    assert sorted(one.name for one in (stage.out / "epochs").iterdir()) == ["1", "2"]


def test_asked_to_stop_it_leaves_a_checkpoint_and_says_33(model, prepared, settings, tmp_path):
    half = settings("train", **SETTINGS, batch_size=8, micro_batch=8, ranks=2)
    stage = Stage(tmp_path / "asked", model, prepared, half)
    process = stage.start()
    stage.wait_for("step 2/20", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=patience(100)) == 33, stage.said()
    done = max(stage.numbers())
    assert (stage.work / f"global_step_{done}/complete.json").is_file() and done < STEPS
    assert f"interrupted: stopped after step {done} of 20" in stage.log.read_text()


def test_a_checkpoint_of_other_ranks_is_refused(alone, model, prepared, settings, tmp_path):
    half = settings("train", **SETTINGS, batch_size=8, micro_batch=8, ranks=2)
    stage = Stage(tmp_path / "other", model, prepared, half)
    shutil.copytree(alone.work / "global_step_14", stage.work / "global_step_14")
    assert stage.run() == 3
    said = f"`{stage.work}/global_step_14` was written by 1 training processes, this stage has 2"
    assert f"error: {said}" in stage.log.read_text()
