"""The real trainer, as a user's machine runs it, on a CPU with a tiny model."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.common.verl.stage import read_history
from recipes.common.verl.watchdog import marked_processes
from tests.support.patience import patience, until

ROOT = Path(__file__).parents[3]

MARK = "TEST_STAGE"
"""The variable by which a stage's processes are found."""

WORDS = ["apple", "pear", "plum", "fig", "lime", "kiwi"]

SETTINGS = {
    "mode": "warmup",
    "steps": 4,
    "train_batch": 8,
    "val_batch": 4,
    "max_prompt_length": 64,
    "max_response_length": 12,
    "rollout_n": 4,
    "temperature": 0.8,
    "rollout_tensor_parallel": 1,
    "tokens_per_gpu": 512,
    "gpu_memory_utilization": 0.5,
    "actor_lr": 1e-3,
    "critic_lr": 1e-3,
    "grad_clip": 0.2,
    "kl_loss": 0.001,
    "entropy": 0.0,
    "critic_warmup": 1,
    "save_every": 3,
    "validate_every": 2,
    "keep_last": 2,
    "device": "cpu",
    "rollout": "hf",
    "ranks": None,
    "param_offload": False,
    "optimizer_offload": False,
    "seed": 1,
    "wandb_project": "gad",
    "verl_overrides": [],
}

pytestmark = pytest.mark.training


class Stage:
    """A stage's command with its folders; started, watched, ended."""

    def __init__(self, root: Path, inputs: Path, **changed):
        self.work, self.out, self.log = root / "work", root / "out", root / "log.txt"
        root.mkdir(exist_ok=True)
        self.settings = root / "settings.json"
        self.settings.write_text(json.dumps(SETTINGS | changed))
        self.inputs = inputs

    def start(self, *more: str | Path) -> subprocess.Popen:
        command = [sys.executable, "-m", "recipes.gad.train", self.settings]
        command += ["--model", self.inputs / "model", "--data", self.inputs / "data"]
        command += ["--work", self.work, "--out", self.out, *more]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", MARK: str(self.work)}
        with open(self.log, "w") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def run(self, *more: str | Path) -> int:
        return self.start(*more).wait(timeout=patience(400))

    def wait_for(self, text: str, process: subprocess.Popen) -> None:
        until(lambda: process.poll() is not None or text in self.log.read_text(), text, 400, 0.05)
        assert text in self.log.read_text(), self.log.read_text()

    def numbers(self) -> dict[int, dict[str, float]]:
        """Each step's metrics but those that are times."""
        history = read_history(self.work, 10**9)
        return {
            step: {name: value for name, value in metrics.items() if not name.startswith("seconds")}
            for step, metrics in history.items()
        }

    def last_lines(self) -> str:
        return self.log.read_text()[-3000:]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """20 rows, so that 4 steps of 8 go past an epoch's end within a step; a model that knows their words."""
    pq, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    pytest.importorskip("tensordict", reason="needs the training environment")
    from recipes.common.model import tiny

    root = tmp_path_factory.mktemp("inputs")
    (root / "data").mkdir()
    rows = [row(number) for number in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), root / "data" / "train.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:6]), root / "data" / "val.parquet")
    tiny.save(root / "model", [json.dumps(row) for row in rows])
    return root


def row(number: int) -> dict:
    word = WORDS[number % len(WORDS)]
    text = f"the word is {word} ."
    return {
        "data_source": "gad",
        "prompt": [{"role": "user", "content": f"say {word} {number}"}],
        "ability": "chat",
        "reward_model": {"style": "rule", "ground_truth": text},
        "extra_info": {"split": "train", "index": number, "teacher_response": text},
    }


@pytest.fixture(scope="module")
def warmup(inputs, tmp_path_factory) -> Stage:
    stage = Stage(tmp_path_factory.mktemp("warmup"), inputs)
    assert stage.run() == 0, stage.last_lines()
    return stage


@pytest.fixture(scope="module")
def reference(warmup, tmp_path_factory) -> Path:
    """The warmed-up actor as Hugging Face folder."""
    folder = tmp_path_factory.mktemp("convert") / "reference"
    command = [sys.executable, "-m", "recipes.common.convert", warmup.out / "actor", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def processes_of(stage: Stage) -> dict[int, str]:
    """The command lines of all processes that come from this stage's command, itself included."""
    found = {}
    for process in marked_processes(f"{MARK}={stage.work}"):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            if command:  # a zombie has none
                found[process] = command
    return found


def wait_until_gone(stage: Stage) -> None:
    until(lambda: not processes_of(stage), "the end of Ray's own processes", 90, 0.2)


def test_warmup_trains_both_networks_and_tells(warmup):
    metrics = json.loads((warmup.out / "metrics.json").read_text())
    assert (metrics["mode"], metrics["step"], metrics["world_size"]) == ("warmup", 4, 1)
    assert metrics["actor_change"] > 0 and metrics["critic_change"] > 0
    numbers = warmup.numbers()
    assert numbers[4]["critic/d_acc"] > numbers[1]["critic/d_acc"]
    assert numbers[4]["critic/d_loss"] < numbers[1]["critic/d_loss"]
    # Exactly critic_warmup steps belong to the discriminator alone.
    assert [step for step in numbers if "actor/loss" in numbers[step]] == [2, 3, 4]
    assert numbers[4]["actor/loss"] < numbers[2]["actor/loss"]
    assert {"val/rouge_l", "critic/grad_norm", "actor/lr"} <= set(numbers[4])
    assert sorted(path.name for path in warmup.out.iterdir()) == ["actor", "complete.json", "critic", "metrics.json"]
    for role in ("actor", "critic"):
        assert (warmup.out / role / "fsdp_config.json").is_file()
        assert (warmup.out / role / "huggingface" / "config.json").is_file()


def test_the_adversarial_stage_moves_both_on_and_counts_its_own_steps(warmup, reference, inputs, tmp_path):
    stage = Stage(tmp_path / "adversarial", inputs, mode="adversarial", critic_warmup=0, actor_lr=5e-4, steps=3)
    assert stage.run("--start", warmup.out, "--reference", reference) == 0, stage.last_lines()
    metrics, numbers = json.loads((stage.out / "metrics.json").read_text()), stage.numbers()
    assert (metrics["mode"], metrics["step"]) == ("adversarial", 3)
    assert 0 < metrics["actor_change"] < 0.1 and 0 < metrics["critic_change"] < 0.1
    assert list(numbers) == [1, 2, 3]
    # It starts at the warmed-up actor (which bf16 rounding of the reference alone tells apart), at its own rate.
    assert 0 <= numbers[1]["actor/kl"] < 1e-4 < numbers[3]["actor/kl"]
    assert numbers[1]["actor/lr"] == 5e-4
    # The discriminator is the warmed-up one.
    assert numbers[1]["critic/d_loss"] < warmup.numbers()[1]["critic/d_loss"]


def test_stopped_and_killed_it_ends_with_the_unbroken_runs_numbers(warmup, inputs, tmp_path):
    stage = Stage(tmp_path / "broken", inputs)
    process = stage.start()
    stage.wait_for("step 1/4", process)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=patience(120)) == 33, stage.last_lines()
    done = max(stage.numbers())
    assert (stage.work / f"global_step_{done}" / "complete.json").is_file()

    process = stage.start()
    stage.wait_for("step 3/4", process)
    process.kill()
    process.wait()
    wait_until_gone(stage)

    assert stage.run() == 0, stage.last_lines()
    # The kill hit step 3's checkpoint before, while or after it was written: all three have to come out the same.
    assert "going on from global_step_" in stage.log.read_text()
    assert stage.numbers() == warmup.numbers()


def test_a_finished_stage_only_makes_its_output(warmup, inputs, tmp_path):
    stage = Stage(tmp_path / "finished", inputs)
    shutil.copytree(warmup.work, stage.work)
    assert stage.run() == 0, stage.last_lines()
    assert "ray" not in stage.log.read_text()
    expected = json.loads((warmup.out / "metrics.json").read_text())
    assert json.loads((stage.out / "metrics.json").read_text()) == expected


def test_another_modes_checkpoint_is_refused(warmup, inputs, tmp_path):
    stage = Stage(tmp_path / "other", inputs, mode="seqkd")
    shutil.copytree(warmup.work, stage.work)
    assert stage.run() == 3
    assert (
        f"error: `{stage.work}/global_step_4` was written by mode `warmup`, this stage runs `seqkd`"
        in stage.log.read_text()
    )


def test_a_truncated_shard_is_refused(warmup, inputs, tmp_path):
    stage = Stage(tmp_path / "truncated", inputs, steps=6)
    shutil.copytree(warmup.work, stage.work)
    shard = stage.work / "global_step_4" / "actor" / "model_world_size_1_rank_0.pt"
    size = shard.stat().st_size
    os.truncate(shard, 10)
    assert stage.run() == 3
    assert f"error: `{shard}` has 10 bytes instead of {size:,}" in stage.log.read_text()
    assert f"hint: delete `{shard.parents[1]}`" in stage.log.read_text()


def test_a_dead_training_process_fails_the_stage(inputs, tmp_path):
    stage = Stage(tmp_path / "dead", inputs, steps=50)
    process = stage.start()
    stage.wait_for("step 1/50", process)
    (worker,) = (number for number, command in processes_of(stage).items() if command.startswith("ray::WorkerDict"))
    os.kill(worker, signal.SIGKILL)
    assert process.wait(timeout=patience(120)) == 3, stage.last_lines()
    assert "\nerror: training failed: The actor" in stage.log.read_text()
    wait_until_gone(stage)


def test_two_ranks_train(inputs, tmp_path):
    stage = Stage(tmp_path / "ranks", inputs, ranks=2, steps=2)
    assert stage.run() == 0, stage.last_lines()
    metrics = json.loads((stage.out / "metrics.json").read_text())
    assert metrics["world_size"] == 2
    assert metrics["actor_change"] > 0 and metrics["critic_change"] > 0
    assert (stage.out / "critic" / "model_world_size_2_rank_1.pt").is_file()


def test_seqkd_trains_the_actor_alone(inputs, tmp_path):
    stage = Stage(tmp_path / "seqkd", inputs, mode="seqkd")
    assert stage.run() == 0, stage.last_lines()
    numbers = stage.numbers()
    assert numbers[4]["actor/loss"] < numbers[1]["actor/loss"]
    assert "response_length" not in numbers[1] and "val/rouge_l" in numbers[4]
    assert not (stage.out / "critic").exists()
