"""The real trainer, as a user's machine runs it, on a CPU with a tiny model."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.common.verl.stage import read_history
from recipes.common.verl.watchdog import marked_processes
from tests.support.patience import patience, until

from .samples import ROOT
from .test_settings import VALUES

MARK = "TEST_STAGE"
"""The variable by which a stage's processes are found."""

SETTINGS = VALUES | {
    "steps": 6,
    "train_batch": 8,
    "mini_batch": 4,
    "max_prompt_length": 160,
    "max_response_length": 12,
    "tokens_per_gpu": 2048,
    "lr": 1e-2,
    "kl": 1e-4,
    "warmup_steps": 2,
    "save_every": 3,
    "device": "cpu",
    "rollout": "hf",
    "param_offload": False,
    "optimizer_offload": False,
    "seed": 2,
}

pytestmark = pytest.mark.training


class Stage:
    """A stage's command with its folders; started, watched, ended."""

    def __init__(self, root: Path, model: Path, data: Path, **changed):
        self.work, self.out, self.log = root / "work", root / "out", root / "log.txt"
        root.mkdir(exist_ok=True)
        self.model, self.data, self.settings = model, data, root / "settings.json"
        self.settings.write_text(json.dumps(SETTINGS | changed))

    def start(self) -> subprocess.Popen:
        command = [sys.executable, "-m", "recipes.token_buncher.train", self.settings, "--model", self.model]
        command += ["--data", self.data, "--work", self.work, "--out", self.out]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", MARK: str(self.work)}
        with open(self.log, "w") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def run(self) -> int:
        return self.start().wait(timeout=patience(300))

    def wait_for(self, text: str, process: subprocess.Popen) -> None:
        until(lambda: process.poll() is not None or text in self.log.read_text(), text, 300, 0.05)
        assert text in self.log.read_text(), self.last_lines()

    def wait_until_gone(self) -> None:
        until(lambda: not marked_processes(f"{MARK}={self.work}"), "the end of all processes", 90, 0.2)

    def numbers(self) -> dict[int, dict[str, float]]:
        """Each step's metrics but those that are times."""
        return {
            step: {name: value for name, value in metrics.items() if not name.startswith("seconds")}
            for step, metrics in read_history(self.work, 10**9).items()
        }

    def metrics(self) -> dict:
        return json.loads((self.out / "metrics.json").read_text())

    def last_lines(self) -> str:
        return self.log.read_text()[-3000:]


@pytest.fixture(scope="module")
def data(prepared) -> Path:
    pytest.importorskip("tensordict", reason="needs the training environment")
    return prepared / "beavertails"


@pytest.fixture(scope="module")
def defence(model, data, tmp_path_factory) -> Stage:
    """Six steps that nobody disturbs. Nobody changes its folder."""
    stage = Stage(tmp_path_factory.mktemp("defence"), model, data)
    assert stage.run() == 0, stage.last_lines()
    return stage


def test_after_the_warmup_ppo_and_the_noiser_take_turns_and_entropy_falls(defence):
    numbers, metrics = defence.numbers(), defence.metrics()
    assert [int(numbers[step]["noiser"]) for step in range(1, 7)] == [0, 0, 1, 0, 1, 0]
    assert [step for step in numbers if "noiser/loss" in numbers[step]] == [3, 5]
    assert numbers[6]["entropy"] < numbers[1]["entropy"] - 0.05
    assert metrics["entropy_fall"] > 0 and metrics["entropy_first"] == numbers[1]["entropy"]
    assert (metrics["step"], metrics["steps_left"], metrics["noiser_steps"], metrics["world_size"]) == (6, 0, 2, 1)
    assert metrics["actor_change"] > 0
    assert "1 x CPU: rollout_tensor_parallel 1, train_batch 8, mini_batch 4, rollout_n 4" in defence.log.read_text()


def test_the_reward_is_the_entropy_and_both_updates_are_clipped_ones(defence):
    for step, metrics in defence.numbers().items():
        assert metrics["reward"] == pytest.approx(-metrics["entropy"])
        assert metrics["spread"] > 0 and metrics["actor/grad_norm"] > 0 and metrics["actor/lr"] == 1e-2
        assert ("actor/clipped" in metrics) is (step not in (3, 5))
    assert defence.numbers()[1]["kl"] == pytest.approx(0, abs=1e-6)  # the actor is its reference at first
    assert defence.numbers()[6]["kl"] > 1e-4


def test_no_more_tokens_are_labels_than_answers_have(defence):
    for step in (3, 5):
        metrics = defence.numbers()[step]
        assert 0 < metrics["noiser/labels"] < metrics["response_length"] * 32


def test_the_optimizer_is_saved_with_the_model(defence):
    for folder in (defence.out, defence.work / "global_step_6", defence.work / "global_step_3"):
        for part in ("model", "optim", "extra_state"):
            assert (folder / f"actor/{part}_world_size_1_rank_0.pt").is_file()
    assert (defence.out / "complete.json").is_file()


def test_killed_and_started_again_it_ends_with_the_unbroken_runs_numbers(defence, model, data, tmp_path):
    stage = Stage(tmp_path / "broken", model, data)
    process = stage.start()
    stage.wait_for("step 4/6", process)
    process.kill()
    process.wait()
    stage.wait_until_gone()
    assert stage.run() == 0, stage.last_lines()
    assert "going on from global_step_3" in stage.log.read_text()
    assert stage.numbers() == defence.numbers()
    for part in ("model", "optim"):  # of which the next step would start
        assert _equal(stage.out / "actor", defence.out / "actor", part)


def _equal(one: Path, other: Path, part: str) -> bool:
    import torch
    from torch.distributed.tensor import DTensor

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        value = value._local_tensor if isinstance(value, DTensor) else value
        return value.tolist() if isinstance(value, torch.Tensor) else value

    name = f"{part}_world_size_1_rank_0.pt"
    first, second = (plain(torch.load(folder / name, weights_only=False)) for folder in (one, other))
    return first == second


def test_a_finished_stage_only_makes_its_output(defence, model, data, tmp_path):
    stage = Stage(tmp_path / "finished", model, data)
    shutil.copytree(defence.work, stage.work)
    assert stage.run() == 0, stage.last_lines()
    assert "ray" not in stage.log.read_text()
    assert stage.metrics() == defence.metrics()


def test_two_ranks_share_the_batch_and_convert_to_a_model_that_opens(model, data, tmp_path):
    from transformers import AutoModelForCausalLM

    from recipes.common.checkpoint.difference import largest_change

    stage = Stage(tmp_path / "ranks", model, data, ranks=2, steps=3)
    assert stage.run() == 0, stage.last_lines()
    assert stage.metrics()["world_size"] == 2 and stage.metrics()["noiser_steps"] == 1
    assert (stage.out / "actor/model_world_size_2_rank_1.pt").is_file()
    command = [
        sys.executable,
        "-m",
        "recipes.common.convert",
        stage.out / "actor",
        tmp_path / "model",
        "--dtype",
        "keep",
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert largest_change(stage.out / "actor", tmp_path / "model") == 0
    _, info = AutoModelForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(info.values())


def test_an_attack_leaves_what_it_measured_and_no_weights(model, data, tmp_path):
    stage = Stage(tmp_path / "attack", model, data, mode="attack", classifier="stand-in", kl=0.0, steps=2, save_every=1)
    assert stage.run() == 0, stage.last_lines()
    assert sorted(path.name for path in stage.out.iterdir()) == ["curve.json", "metrics.json"]
    assert not list(stage.work.glob("global_step_*"))
    curve = json.loads((stage.out / "curve.json").read_text())
    assert list(curve) == ["1", "2"] and 0 < curve["1"]["reward"] < 1 and curve["1"]["noiser"] == 0
    metrics = stage.metrics()
    assert metrics["steps_left"] == 0 and "kl_first" not in metrics and "noise" not in metrics
    shutil.rmtree(stage.out)
    assert stage.run() == 0, stage.last_lines()  # a start after its end trains nothing
    assert "ray" not in stage.log.read_text() and stage.metrics() == metrics


def test_prompts_with_a_template_in_them_are_refused(model, tmp_path):
    from recipes.token_buncher import prepare

    from .samples import COMMANDS

    flags = ["--template_type", "qwen", "--tokenizer", str(model), "--local_dir", str(tmp_path / "data")]
    prepare.main(["beavertails", *COMMANDS["beavertails"], *flags])
    stage = Stage(tmp_path / "stage", model, tmp_path / "data")
    assert stage.run() == 2
    path = f"{tmp_path}/data/train.parquet"
    assert (
        f"error: `{path}` has the template `qwen` in its prompts, and verl adds the model's own\n\n"
        "hint: prepare it with `--template_type chat`"
    ) in stage.log.read_text()


def test_a_folder_without_a_model_is_refused(data, tmp_path):
    stage = Stage(tmp_path / "stage", tmp_path, data)
    assert stage.run() == 2
    said = f"error: no model in `{tmp_path}`\n\nhint: an earlier stage writes it: check the folder's name"
    assert said in stage.log.read_text()
