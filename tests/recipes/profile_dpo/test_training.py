"""DPO by TRL: killed and carried on with to the same losses, on several processes, merged, and told."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from recipes.common.checkpoint.merge import MergeSettings
from recipes.common.model import tiny
from recipes.common.stage.inputs import TrainingInputs
from recipes.profile_dpo import dpo, export, merge_adapter, prompts
from recipes.profile_dpo.export import card
from recipes.profile_dpo.settings import DpoSettings
from recipes.profile_dpo.training import percentile
from tests.support.patience import until

ROOT = Path(__file__).parents[3]
PARALLEL = ROOT / "recipes/profile_dpo/parallel"
SETTINGS = {
    "device": "cpu",
    "dtype": "float32",
    "nf4": False,
    "seed": 1,
    "lora_rank": 4,
    "lora_alpha": 16,
    "lora_dropout": 0.0,
    "epochs": 3.0,
    "batch": 2,
    "accumulate": 2,
    "lr": 1.0e-2,
    "warmup": 0.1,
    "grad_clip": 0.3,
    "optimizer": "adamw_torch",
    "recompute": False,
    "max_length": 512,
    "save_every": 2,
    "keep_last": 2,
    "beta": 0.1,
    "length_share": 0.9,
    "ranks": 1,
    "parallel": "ddp",
}


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """A model, and pairs of which the chosen side speaks of tides and the rejected one of wages."""
    folder = tmp_path_factory.mktemp("dpo")
    rows = [
        {
            "unit": f"a{number}",
            "prompt": prompts.write([f"sea {number}"], []),
            "chosen": f"tides and waves {number}",
            "rejected": f"wages and prices {number}" + " more" * (60 if number == 3 else 0),
        }
        for number in range(18)
    ]
    for name, part in {"train": rows[:16], "eval": rows[16:]}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    tiny.save(folder / "model", [row[side] for row in rows for side in ("chosen", "rejected")])
    (folder / "model/metrics.json").write_text(json.dumps({"repo": "tiny", "revision": None}))
    return folder


def words(place, name, **changes):
    (place / f"{name}.json").write_text(json.dumps(SETTINGS | changes))
    return [
        str(place / f"{name}.json"),
        *("--model", str(place / "model"), "--data", str(place)),
        *("--out", str(place / name / "out"), "--work", str(place / name / "work")),
    ]


def started(argv):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", dpo.MODULE, *argv], cwd=ROOT, env=env, stderr=subprocess.PIPE)


def when_there(place, name, process):
    """Waits for the first checkpoint."""
    path = place / name / "work/progress.jsonl"
    saved = lambda: path.exists() and "checkpoint" in path.read_text()  # noqa: E731
    until(lambda: process.poll() is not None or saved(), "a checkpoint", 240, 0.005)
    assert saved(), process.stderr.read().decode()


def losses(place, name):
    return [entry["loss"] for entry in json.loads((place / name / "out/history.json").read_text())]


def numbers(place, name):
    return json.loads((place / name / "out/metrics.json").read_text())


@pytest.fixture(scope="session")
def trained(place):
    """A training that nobody disturbed."""
    dpo.main(words(place, "whole"))
    return place


def test_it_learns_what_is_preferred(trained):
    made = numbers(trained, "whole")
    assert (made["steps"], made["steps_left"], made["rows"], made["too_long"]) == (12, 0, 15, 1)
    assert made["loss_last"] < made["loss_first"] and made["eval_rewards_accuracies"] == 1.0
    assert made["adapter_change"] > 0 and made["seconds_a_step"] > 0
    config = json.loads((trained / "whole/out/adapter/adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 16)
    assert len({name.rpartition(".")[2] for name in config["target_modules"]}) == 7, "all linear layers, not the head"


def test_no_row_is_cut_and_the_length_is_that_of_most_rows(trained):
    made = numbers(trained, "whole")
    assert made["max_length"] % 2 == 0 and made["max_length"] < SETTINGS["max_length"]
    assert percentile([5, 1, 4, 2, 3], 0.8) == 4 and percentile([7], 0.95) == 7
    assert percentile(list(range(1, 101)), 0.95) == 95


def test_after_a_kill_it_goes_on_to_the_same_losses(trained):
    argv = words(trained, "killed")
    process = started(argv)
    when_there(trained, "killed", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    dpo.main(argv)
    assert losses(trained, "killed") == losses(trained, "whole")
    files = [trained / name / "out/adapter/adapter_model.safetensors" for name in ("killed", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_two_processes_take_the_same_steps_stop_together_and_go_on(trained):
    argv = words(trained, "two", ranks=2)
    process = started(argv)
    when_there(trained, "two", process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 33, errors.decode()
    process = started(argv)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert losses(trained, "two") == pytest.approx(losses(trained, "whole"), rel=1e-3)
    assert numbers(trained, "two")["ranks"] == 2
    lines = [json.loads(line) for line in (trained / "two/work/progress.jsonl").read_text().splitlines()]
    assert sorted({one["step"] for one in lines if "steps" in one}) == list(range(1, 13)), "one of them speaks"


def test_the_merged_model_says_what_base_and_adapter_say(trained):
    (trained / "merge.json").write_text(json.dumps({"device": "cpu", "export_dtype": "float32"}))
    base, out = ["--base", str(trained / "model"), "--training", str(trained / "whole/out")], trained / "merged"
    merge_adapter.main([str(trained / "merge.json"), *base, "--out", str(out), "--work", str(trained / "merge-work")])
    made = json.loads((out / "metrics.json").read_text())
    assert made["logits_difference"] < 1e-4 and made["repo"] == "tiny"
    for name, found in {
        "judge": {"repo": "gpt", "revision": None},
        "tournament": {"tournaments": 3},
        "current": {"repo": "tiny", "revision": None, "trained": 1},
    }.items():
        (trained / name).mkdir()
        (trained / name / "metrics.json").write_text(json.dumps(found))
    (trained / "tournament/report.md").write_text("| a | b |\n")
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        (trained / "current" / file).write_bytes((out / file).read_bytes())
    stages = {"model": "model", "judge": "judge", "tournament": "tournament", "dpo": "whole/out"}
    given = [word for name, folder in stages.items() for word in ("--stage", f"{name}={trained / folder}")]
    export.main(["--model", str(trained / "current"), *given, "--out", str(trained / "export")])
    assert json.loads((trained / "export/metrics.json").read_text())["dtype"] == "float32"
    assert (trained / "export/adapters/dpo/adapter_model.safetensors").is_file()
    assert "## tournament\n\n| a | b |" in (trained / "export/report.md").read_text()
    text = (trained / "export/README.md").read_text()
    assert "judged by `gpt`" in text and "| steps | 12 |" in text


def test_a_card_of_a_model_that_no_round_changed_says_so():
    known = {"model": {"repo": "o/m", "revision": "c"}, "judge": {"repo": "o/j", "revision": "d"}}
    assert "**No round passed the gate" in card({"repo": "o/m", "trained": 0, "dtype": "bfloat16"}, known, {})


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "error: `PLACE/train.jsonl` has no rows\n\nhint: give papers of more authors"),
        (
            [{"prompt": [], "chosen": "a", "rejected": "a"}],
            "error: `PLACE/train.jsonl`: line 1: `chosen` and `rejected` are the same\n\n"
            "hint: leave the row out: nothing can be learnt from it",
        ),
    ],
)
def test_nothing_to_learn_is_said(tmp_path, refusal, rows, says):
    from recipes.profile_dpo.training import learn

    for name in ("train", "eval"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folders = dict.fromkeys(("settings", "out", "work", "model", "data"), tmp_path)
    settings, inputs = DpoSettings(**SETTINGS), TrainingInputs(**folders)
    assert refusal(learn, settings, inputs, lambda: False) == says.replace("PLACE", str(tmp_path))


def test_batches_that_gpus_cannot_share_are_said(refusal):
    from recipes.profile_dpo.training import batches_of_each

    assert batches_of_each(4, 2) == 2
    assert refusal(batches_of_each, 4, 8) == (
        "error: 8 GPUs cannot share the 4 batches of a step\n\nhint: `--set dpo.accumulate=8`, or `--set dpo.ranks=4`"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"beta": 0.0}, "`beta` is `0.0`, not above 0"),
        ({"length_share": 0.0}, "`length_share` is `0.0`, not above 0 and at most 1"),
        ({"ranks": 0}, "`ranks` is `0`, less than 1"),
        ({"parallel": "fsdp"}, "`parallel` is `fsdp`, not one of `ddp`, `zero2`"),
        ({"parallel": "zero2"}, "`parallel` is `zero2`, which needs GPUs; on a CPU use `ddp`"),
    ],
)
def test_settings_that_cannot_be(change, says):
    with pytest.raises(ValueError) as caught:
        DpoSettings(**SETTINGS | change)
    assert str(caught.value) == says


def test_a_type_that_nothing_is_exported_in():
    with pytest.raises(ValueError, match="`export_dtype` is `int8`, not one of"):
        MergeSettings("cpu", "int8")


@pytest.mark.parametrize("name", ["ddp", "zero2"])
def test_accelerate_reads_the_shipped_files(name):
    from accelerate.commands.config.config_args import load_config_from_file

    found = load_config_from_file(str(PARALLEL / f"{name}.yaml"))
    assert found.distributed_type.value == {"ddp": "MULTI_GPU", "zero2": "DEEPSPEED"}[name]
    if name == "zero2":
        path = ROOT / yaml.safe_load((PARALLEL / "zero2.yaml").read_text())["deepspeed_config"]["deepspeed_config_file"]
        assert json.loads(path.read_text())["zero_optimization"]["stage"] == 2
