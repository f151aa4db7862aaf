"""The main job: one command, a verified model at home."""

import json
import subprocess

import pytest

from .conftest import ROOT


def test_the_screen_says_what_was_checked_how_long_it_took_and_where_everything_is(finished):
    screen = (finished.folder / "screen.txt").read_text()
    for stage in ("model", "data", "warmup", "reference", "adversarial", "convert", "verify"):
        assert f"\n{stage} " in screen
    assert f"model     {finished.home}/export\n" in screen
    assert "largest_difference=0.0" in screen
    assert "reply     'Say hello in one sentence.' -> " in screen
    assert "all sha256 match the manifest" in screen


def test_transformers_loads_the_model_that_came_home(finished):
    program = (
        "import sys; from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "model, info = AutoModelForCausalLM.from_pretrained(sys.argv[1], output_loading_info=True)\n"
        "assert not any(info.values()), info\n"
        "print(model.num_parameters(), len(AutoTokenizer.from_pretrained(sys.argv[1])))"
    )
    python = ROOT / ".venv-cpu/bin/python"
    done = subprocess.run([python, "-c", program, finished.home / "export"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert finished.done("verify")["metrics"]["parameters"] == int(done.stdout.split()[0])


@pytest.mark.parametrize("stage", ["warmup", "adversarial"])
def test_training_changes_actor_and_discriminator(finished, stage):
    metrics = finished.done(stage)["metrics"]
    assert metrics["mode"] == stage and metrics["step"] == 6
    assert metrics["actor_change"] > 1e-4 and metrics["critic_change"] > 1e-4


def test_the_discriminator_learns_in_warmup(finished):
    steps = finished.steps("warmup")
    assert steps[6]["critic/d_acc"] > 0.7
    assert steps[6]["critic/d_loss"] < steps[1]["critic/d_loss"]


def test_the_discriminator_has_the_first_steps_of_warmup_alone(finished):
    trained = [step for step, metrics in finished.steps("warmup").items() if "actor/loss" in metrics]
    assert trained == [3, 4, 5, 6]


def test_the_exported_weights_are_the_last_actor_checkpoint(finished):
    assert finished.done("verify")["metrics"]["largest_difference"] == 0
    manifest = json.loads((finished.home / "manifest.json").read_text())
    assert set(manifest["export"]) >= {"model.safetensors", "config.json", "tokenizer.json", "README.md"}
    assert manifest["stages"]["adversarial"]["metrics"]["step"] == 6


def test_the_adversarial_stage_starts_from_the_warmed_up_actor(finished):
    kl = [metrics["actor/kl"] for _, metrics in sorted(finished.steps("adversarial").items())]
    assert kl[0] == pytest.approx(0, abs=1e-6)  # the actor is its reference before the first update
    assert max(kl[1:]) > 1e-5


def test_launching_a_finished_run_does_nothing_and_says_so(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.store.rglob("*") if path.is_file()}
    done = finished.rehearse()
    assert done.returncode == 0
    assert done.stdout == f"run gad-rehearsal is finished: nothing to do. Its model is in {finished.home}/export\n"
    assert {path: path.stat().st_mtime_ns for path in finished.store.rglob("*") if path.is_file()} == before


def test_logs_status_and_runs_show_the_run(finished):
    assert "step 6/6" in finished.launcher("logs", "--stage", "adversarial").stdout
    assert "adversarial" in finished.launcher("status").stdout
    assert "gad-rehearsal" in finished.launcher("runs").stdout
    state = json.loads(finished.launcher("status", "--json").stdout)
    assert state["state"] == "finished" and [one["state"] for one in state["stages"]] == ["done"] * 7
