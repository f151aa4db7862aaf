"""The profiles' whole recipe by the real command, once: candidates, tournaments, DPO, evaluation, gate."""

import json

import pytest

from .conftest import Place, make_place, undisturbed

STAGES = [
    *("model", "judge", "setup", "reference", "generate", "tournament"),
    *("dpo", "merge", "write", "evaluate", "current", "export"),
]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory) -> Place:
    return undisturbed(tmp_path_factory.mktemp("profile_dpo"), "profile_dpo-phi3-mini")


def test_every_stage_is_done_in_its_order(rehearsed):
    assert [event["stage"] for event in rehearsed.events("stage.finished")] == STAGES
    assert f"model     {rehearsed.home}/export\n" in (rehearsed.folder / "screen.txt").read_text()


def test_every_text_and_every_comparison_is_counted(rehearsed):
    made = rehearsed.done("generate")["metrics"]
    assert made["texts"] == 28 == made["unparsed"] + made["alike_or_alone"] + made["profiles"]
    candidates = rehearsed.rows("generate", "candidates.jsonl")
    judged = rehearsed.done("tournament")["metrics"]
    assert judged["comparisons"] == sum(len(one["profiles"]) - 1 for one in candidates)
    assert judged["answers"] + judged["unanswered"] == 2 * judged["comparisons"]
    assert judged["replies"] >= judged["answers"] and judged["tokens_in"] > 0
    assert judged["preferences"] == judged["train_rows"] + judged["eval_rows"]
    known = {(one["unit"], text) for one in candidates for text in one["profiles"]}
    for row in rehearsed.rows("tournament", "train.jsonl"):
        assert row["chosen"] != row["rejected"]
        assert {(row["unit"], row["chosen"]), (row["unit"], row["rejected"])} <= known


def test_it_was_trained_on_them_and_the_merged_model_is_what_was_trained(rehearsed):
    learnt = rehearsed.done("dpo")["metrics"]
    assert learnt["steps_left"] == 0 and learnt["adapter_change"] > 0
    assert learnt["loss_last"] < learnt["loss_first"]
    assert rehearsed.done("merge")["metrics"]["logits_share"] < 0.1


def test_the_gate_goes_by_the_win_rate_on_authors_that_nothing_was_trained_on(rehearsed):
    measured, decided = rehearsed.done("evaluate")["metrics"], rehearsed.done("current")["metrics"]
    assert measured["wins"] + measured["ties"] + measured["losses"] == measured["authors"] == 3
    assert measured["win_low"] <= measured["win_rate"] <= measured["win_high"]
    assert decided["became_current"] == (measured["win_rate"] > decided["gate"] == 0.5)
    held = {one["unit"] for one in rehearsed.rows("setup", "held_out.jsonl")}
    assert not held & {one["unit"] for one in rehearsed.rows("tournament", "train.jsonl")}
    current = (rehearsed.store / "stages/current/out/model.safetensors").read_bytes()
    won = "merge" if decided["became_current"] else "model"
    assert current == (rehearsed.store / "stages" / won / "out/model.safetensors").read_bytes()


def test_what_comes_home_has_the_model_its_adapter_and_what_was_measured(rehearsed):
    export = rehearsed.home / "export"
    names = {str(path.relative_to(export)) for path in export.rglob("*") if path.is_file()}
    assert {"model.safetensors", "tokenizer.json", "adapters/dpo/adapter_model.safetensors"} <= names
    assert "## evaluate\n\n| new model against |" in (export / "report.md").read_text()
    assert "## Limits" in (export / "README.md").read_text()


def test_the_next_plan_knows_what_it_measured(rehearsed):
    said = rehearsed.launcher("plan", "profile_dpo-tiny").stdout
    assert "judge        21 comparisons in both orders: 42 questions" in said
    assert "measured by  profile-dpo-rehearsal (profile_dpo-tiny, local, CPU)" in said
    assert "unknown" not in said.partition("judged  ")[2]


@pytest.mark.parametrize("size", ["tiny", "phi3-mini", "qwen-3b"])
def test_a_later_round_begins_with_the_current_model_and_is_compared_with_it_and_with_the_base(tmp_path, size):
    done = make_place(tmp_path).launcher("plan", f"profile_dpo-{size}", "--rounds", "3", "--json")
    assert done.returncode == 0, done.stderr
    needs = {one["name"]: one["needs"] for one in json.loads(done.stdout)["stages"]}
    assert needs["generate2"]["model"] == needs["dpo2"]["model"] == needs["merge2"]["model"] == "current"
    assert needs["generate3"]["model"] == needs["dpo3"]["model"] == "current2"
    assert needs["evaluate"]["reference"] == needs["evaluate"]["base"] == "reference"
    assert needs["evaluate3"] == {"write": "write3", "reference": "current2", "base": "reference", "judge": "judge"}
    assert needs["export"]["current"] == "current3" and needs["export"]["dpo2"] == "dpo2"


def test_a_key_among_the_settings_is_refused_before_a_run_exists(tmp_path):
    place = make_place(tmp_path)
    key = "sk-" + "0123456789abcdef"
    done = place.launcher("plan", "profile_dpo-tiny", "--set", f"api_key={key}")
    says = " ".join(done.stdout.split())
    assert "refused settings: stage `tournament`: `api_key` contains a key" in says
    assert "give it as the secret JUDGE_API_KEY" in says and key not in done.stdout + done.stderr
