"""The Synthetic Instruction Tuner's whole recipe by the real command, once: from a generator to a measured model."""

import json
import subprocess

import pytest

from .conftest import ROOT, Place, make_place, undisturbed

STAGES = [
    *("generator", "base", "judge", "generate", "filter", "respond", "prefer"),
    *("sft", "sft_model", "dpo", "dpo_model", "evaluate", "export"),
]
SIZES = ["tiny", *(f"{target}{card}" for target in ("llama-3b", "mistral-7b", "qwen-3b") for card in ("", "-t4"))]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory) -> Place:
    return undisturbed(tmp_path_factory.mktemp("synthetic_instruct"), "synthetic_instruct-qwen-3b")


def test_every_stage_is_done_in_its_order(rehearsed):
    assert [event["stage"] for event in rehearsed.events("stage.finished")] == STAGES
    assert f"model     {rehearsed.home}/export\n" in (rehearsed.folder / "screen.txt").read_text()


def test_what_was_generated_is_counted_to_the_end(rehearsed):
    pairs = rehearsed.rows("generate", "pairs.jsonl")
    assert len(pairs) == 64 == len({row["index"] for row in pairs})
    report = json.loads((rehearsed.store / "stages/filter/out/report.json").read_text())
    assert report["rows"] == 64 == report["kept"] + sum(report["dropped"].values())
    assert {"exact duplicate", "response too short"} <= report["dropped"].keys()
    kept = [*rehearsed.rows("filter", "train.jsonl"), *rehearsed.rows("filter", "eval.jsonl")]
    assert len(kept) == report["kept"] and len({row["instruction"].casefold() for row in kept}) == len(kept)


def test_preferences_have_margins_and_two_sides(rehearsed):
    pairs = [*rehearsed.rows("prefer", "train.jsonl"), *rehearsed.rows("prefer", "eval.jsonl")]
    assert len(pairs) >= 4
    assert all(row["margin"] >= 0.5 and row["chosen"] != row["rejected"] for row in pairs)


def test_both_trainings_reach_their_last_step_and_learn(rehearsed):
    for stage in ("sft", "dpo"):
        metrics = rehearsed.done(stage)["metrics"]
        assert metrics["steps_left"] == 0 < metrics["steps_after_warmup"] < metrics["steps"]
        assert metrics["loss_last"] < metrics["loss_first"] and metrics["adapter_change"] > 0
        assert len(rehearsed.steps(stage)) == metrics["steps"]
    assert rehearsed.done("dpo")["metrics"]["rewards_margins_last"] > 0


def test_three_models_are_measured_with_standard_errors(rehearsed):
    metrics = rehearsed.done("evaluate")["metrics"]
    for model in ("base", "sft", "dpo"):
        assert 0 <= metrics[f"{model}_choices_acc"] <= 1 and metrics[f"{model}_choices_acc_stderr"] >= 0
        assert f"{model}_numbers_exact_match" in metrics


def test_memory_is_predicted_and_measured_of_every_stage_that_holds_a_model(rehearsed):
    for stage in ("generate", "filter", "respond", "prefer", "sft", "dpo", "evaluate"):
        metrics = rehearsed.done(stage)["metrics"]
        assert metrics["memory_peak_gb"] > 0 < metrics["memory_predicted_gb"], stage


def test_the_model_comes_home_with_its_card_and_report(rehearsed):
    export = rehearsed.home / "export"
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "README.md", "report.md"} <= {
        one.name for one in export.iterdir()
    }
    assert "{% generation %}" not in (export / "chat_template.jinja").read_text()
    report = (export / "report.md").read_text()
    assert "| dropped: exact duplicate |" in report and "| choices | acc | 8 |" in report
    merged = rehearsed.done("dpo_model")["metrics"]
    assert merged["logits_share"] < 0.1


@pytest.mark.parametrize("stages", ["default", "full", "several", "prompt_tuning", "push"])
@pytest.mark.parametrize("size", SIZES)
def test_every_list_of_stages_makes_a_plan(tmp_path, size, stages):
    done = make_place(tmp_path).launcher("plan", f"synthetic_instruct-{size}", "--stages", stages, "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["export"] == {"prompt_tuning": "prompt"}.get(stages, "export")
    assert made["secrets"] == {"HF_TOKEN": size != "tiny"}
    assert size == "tiny" or all(model["commit"] for model in made["models"].values())


def test_a_push_without_a_repository_is_refused_before_anything_is_paid(tmp_path):
    done = make_place(tmp_path).launcher("plan", "synthetic_instruct-tiny", "--stages", "push")
    assert "stage `push`: `hub_repo` is `None`: write `owner/name` of your own" in " ".join(done.stdout.split())


@pytest.mark.parametrize("size", [size for size in SIZES if size != "tiny"])
def test_every_stage_fits_on_the_gpus_of_its_job(tmp_path, size):
    env = {"HF_TOKEN": "hf_" + "a1" * 17}
    place = make_place(tmp_path)
    words = [str(ROOT / ".venv/bin/launcher"), "plan", f"synthetic_instruct-{size}", "--cloud", "runpod,lambda"]
    done = subprocess.run(words, cwd=ROOT, env={**place.env, **env}, capture_output=True, text=True)
    (line,) = (line for line in done.stdout.splitlines() if " memory: " in line)
    assert line.split()[0] in ("ok", "warning") and "not known" not in line
