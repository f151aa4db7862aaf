"""The harness on a tiny model and local tasks, and its numbers as tables."""

import json

import pytest

from recipes.synthetic_instruct import evaluate
from recipes.synthetic_instruct.evaluate import Harness, Settings

from .conftest import ROOT
from .templates import tokenizer
from .test_settings import EVALUATE

LOCAL = EVALUATE | {
    "tasks": ["choices", "numbers"],
    "task_folder": str(ROOT / "recipes/synthetic_instruct/tasks"),
    "limit": 4,
}
FOUND = {
    "base": {"ifeval": {"acc": {"value": 0.25, "stderr": 0.01}, "samples": 541}},
    "dpo": {"ifeval": {"acc": {"value": 0.5, "stderr": None}, "samples": 541}},
}


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
        yield Harness(Settings(**LOCAL))


def test_tasks_on_this_disk_are_measured_with_their_errors(harness, base):
    harness.check_tasks()
    found = harness.measure(base, "choices", chats=False)
    assert found["choices"]["samples"] == 4
    assert 0 <= found["choices"]["acc"]["value"] <= 1 and found["choices"]["acc"]["stderr"] > 0
    chatted = harness.measure(base, "numbers", chats=True)
    assert chatted["numbers"]["exact_match"]["value"] == 0.0


def test_a_task_that_there_is_not_is_a_sentence(harness, refusal):
    harness.settings = Settings(**LOCAL | {"tasks": ["nothing"]})
    assert refusal(harness.check_tasks) == (
        f"error: `tasks`: `{LOCAL['task_folder']}` has no `nothing`\n\nhint: `lm_eval ls tasks` lists the harness's own"
    )
    harness.settings = Settings(**LOCAL)


def test_the_harness_puts_no_second_bos_before_a_chat(harness, tmp_path):
    from recipes.common.model import tiny

    made = tokenizer("Llama-3", tmp_path)
    tiny.random_model(made, 0).save_pretrained(tmp_path)
    opened = harness._open(tmp_path)
    assert opened.tok_encode("a word")[0] == made.bos_token_id
    text = opened.apply_chat_template([{"role": "user", "content": "a few words"}])
    assert opened.tok_encode(text).count(made.bos_token_id) == 1
    ids, _ = opened.tok_batch_encode([text, text])
    assert ids[0].tolist().count(made.bos_token_id) == 1


def test_numbers_keep_their_errors_and_lose_the_harness_s_words():
    given = {
        "alias": "gsm8k",
        "exact_match,strict-match": 0.5,
        "exact_match_stderr,strict-match": 0.1,
        "acc,none": 0.25,
        "acc_stderr,none": "N/A",
        "sample_len": 4,
    }
    assert evaluate.numbers_of(given) == {
        "exact_match (strict-match)": {"value": 0.5, "stderr": 0.1},
        "acc": {"value": 0.25, "stderr": None},
    }


def test_the_table_has_a_line_a_metric_and_a_column_a_model():
    assert evaluate.table(FOUND).splitlines() == [
        "| task | metric | questions | base | dpo |",
        "|---|---|---:|---:|---:|",
        "| ifeval | acc | 541 | 0.2500 ± 0.0100 | 0.5000 |",
    ]


def test_flat_numbers_name_their_model_and_task():
    assert evaluate.flat(FOUND) == {"base_ifeval_acc": 0.25, "base_ifeval_acc_stderr": 0.01, "dpo_ifeval_acc": 0.5}
    assert evaluate.main_numbers(FOUND["base"], "base") == {"base/ifeval": 0.25}
    json.dumps(evaluate.flat(FOUND))
