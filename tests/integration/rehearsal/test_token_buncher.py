"""Token-Buncher's whole recipe by the real command, once: prepare, defend, convert, verify, evaluate."""

import json
import subprocess

import pytest

from .conftest import ROOT, Place, make_place, undisturbed

STAGES = ["model", "beavertails", "wmdp", "gsm8k", "defend", "convert", "verify", "evaluate"]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory) -> Place:
    return undisturbed(tmp_path_factory.mktemp("token_buncher"), "token_buncher-3b")


def test_every_stage_is_done_in_its_order(rehearsed):
    assert [event["stage"] for event in rehearsed.events("stage.finished")] == STAGES
    assert f"model     {rehearsed.home}/export\n" in (rehearsed.folder / "screen.txt").read_text()


def test_the_data_has_no_question_in_both_splits(rehearsed):
    for stage, kept in {"beavertails": (24, 8), "wmdp": (48, 12), "gsm8k": (16, 10)}.items():
        metrics = rehearsed.done(stage)["metrics"]
        assert (metrics["train_rows"], metrics["test_rows"], metrics["leakage"]) == (*kept, 0)


def test_ppo_and_the_noiser_take_turns_after_the_warmup_and_entropy_falls(rehearsed):
    steps = rehearsed.steps("defend")
    assert [int(steps[step]["noiser"]) for step in range(1, 11)] == [0, 0, 1, 0, 1, 0, 1, 0, 1, 0]
    metrics = rehearsed.done("defend")["metrics"]
    assert metrics["entropy_last"] < metrics["entropy_first"] - 0.2
    assert (metrics["noiser_steps"], metrics["steps_left"], metrics["noise_form"]) == (4, 0, "paper")


def test_the_exported_model_is_the_checkpoint_and_was_evaluated(rehearsed):
    assert rehearsed.done("verify")["metrics"]["largest_difference"] == 0
    metrics = rehearsed.done("evaluate")["metrics"]
    assert metrics["entropy_high"] < metrics["before_entropy"] - 0.2
    assert {"wmdp", "wmdp_bio", "wmdp_unparsed", "gsm8k", "gsm8k_low", "harmful"} <= metrics.keys()
    plan = json.loads((rehearsed.store / "plan.json").read_text())
    (argv,) = (stage["argv"] for stage in plan["stages"] if stage["name"] == "evaluate")
    assert argv[argv.index("--model") + 1] == "{convert}"


def test_the_model_comes_home_with_a_card_that_says_what_it_is_for(rehearsed):
    export = rehearsed.home / "export"
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= {one.name for one in export.iterdir()}
    assert "## Intended use" in (export / "README.md").read_text()
    assert json.loads((export / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize(("stages", "rows"), {"wmdp_merge": (30, 12), "beawmmix": (72, 20)}.items())
def test_the_stages_of_the_mixtures_make_them_of_the_others(rehearsed, tmp_path, stages, rows):
    plan = json.loads(rehearsed.launcher("plan", "token_buncher-tiny", "--stages", stages, "--json").stdout)
    (stage,) = (one for one in plan["stages"] if one["name"] == stages)
    (tmp_path / "config.json").write_text(json.dumps(stage["config"]))
    places = {"config": tmp_path / "config.json", "out": tmp_path / "out", "work": tmp_path / "work"}
    places |= {need: rehearsed.store / "stages" / need / "out" for need in stage["needs"]}
    words = [word[1:-1] if word.startswith("{") else word for word in stage["argv"]]
    argv = [str(ROOT / ".venv-cpu/bin/python"), *(str(places.get(word, word)) for word in words[1:])]
    done = subprocess.run(argv, cwd=ROOT, env=rehearsed.env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (metrics["train_rows"], metrics["test_rows"], metrics["leakage"]) == (*rows, 0)


@pytest.mark.parametrize("stages", ["default", "wmdp_merge", "beawmmix", "attack"])
@pytest.mark.parametrize("size", ["tiny", "3b", "7b"])
def test_every_list_of_stages_makes_a_plan(tmp_path, size, stages):
    done = make_place(tmp_path).launcher("plan", f"token_buncher-{size}", "--stages", stages, "--json")
    assert done.returncode == 0, done.stderr
    exports = {"attack": "measure"}.get(stages, "convert")
    assert json.loads(done.stdout)["export"] == exports


def test_an_attack_without_a_classifier_is_refused_before_anything_is_paid(tmp_path):
    done = make_place(tmp_path).launcher("plan", "token_buncher-3b", "--stages", "attack")
    says = "stage `attack`: `classifier` is `null`: an attack needs your classifier, whose score is the reward"
    assert says in " ".join(done.stdout.split())
