"""Preferences are made of margins: chosen and rejected differ, and nothing depends on how high a reward is."""

import json

import pytest

from recipes.common.stage.journal import read_jsonl
from recipes.synthetic_instruct import prefer
from recipes.synthetic_instruct.drops import Drops
from recipes.synthetic_instruct.prefer import gather, has_margin, pair

SETTINGS = {"device": "cpu", "margin": 0.5, "eval_share": 0.2, "judged_at_once": 8, "seed": 42}


def row(index, *texts):
    responses = [{"temperature": 1.0, "text": text, "ended": True} for text in texts]
    return {"index": index, "instruction": f"Question {index}?", "responses": responses}


ROW = {"index": 3, "instruction": "Why?", "texts": ["first answer", "second answer", "third answer"]}


@pytest.mark.parametrize("shift", [0.0, -100.0, 1e4])
def test_the_best_is_chosen_and_the_worst_rejected_wherever_they_lie(shift):
    made = pair(ROW, [one + shift for one in (0.25, -1.0, 0.75)])
    assert (made["chosen"], made["rejected"], made["margin"]) == ("third answer", "second answer", 1.75)


@pytest.mark.parametrize(("rewards", "kept"), [([0.0, 0.5, 0.25], True), ([0.0, 0.499, 0.25], False)])
def test_a_pair_is_kept_from_its_margin_on(rewards, kept):
    drops = Drops(1)
    assert has_margin(pair(ROW, rewards), 0.5, drops) is kept
    assert drops.counts == ({} if kept else {"margin below 0.5": 1})


def test_short_and_equal_responses_are_no_candidates():
    made = gather(
        [[row(0, "the same answer", "the same answer", "too short.")], [row(0, "the same answer", "another one")]]
    )
    assert made == [{"index": 0, "instruction": "Question 0?", "texts": ["the same answer", "another one"]}]


@pytest.fixture
def stage(tmp_path, judge, write):
    def run(*parts, **changes):
        words = []
        for place, rows in enumerate(parts):
            words += ["--responses", str(write(f"part{place}/responses.jsonl", rows).parent)]
        (tmp_path / "config.json").write_text(json.dumps(SETTINGS | changes))
        places = {"judge": judge, "out": tmp_path / "out", "work": tmp_path / "work"}
        flags = [str(word) for name, place in places.items() for word in (f"--{name}", place)]
        prefer.main([str(tmp_path / "config.json"), *words, *flags])
        return tmp_path / "out"

    return run


def test_the_stage_keeps_wide_pairs_and_its_counts_add_up(stage, chats):
    answers = [answer for _, answer in chats]
    first = [row(place, *answers[place : place + 4]) for place in range(12)]
    second = [row(place, answers[place + 20]) for place in range(12)]
    out = stage([*first, row(12, "only one answer here")], [*second, row(13, "short", "")])
    pairs = [*read_jsonl(out / "train.jsonl"), *read_jsonl(out / "eval.jsonl")]
    assert pairs and all(one["chosen"] != one["rejected"] for one in pairs)
    assert all(one["margin"] >= 0.5 for one in pairs)
    assert all(one["margin"] == pytest.approx(one["chosen_reward"] - one["rejected_reward"], abs=2e-4) for one in pairs)
    report = json.loads((out / "report.json").read_text())
    assert report["rows"] == 14 == report["kept"] + sum(report["dropped"].values())
    assert report["dropped"]["fewer than two different responses"] == 2
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["margin_min"] >= 0.5 and metrics["pairs"] == len(pairs) == report["kept"]


def test_nothing_to_compare_and_nothing_apart_are_sentences(stage, refusal, tmp_path, chats):
    assert refusal(stage, []) == (
        f"error: `{tmp_path / 'part0/responses.jsonl'}` has no rows to compare\n\nhint: answer some instructions first"
    )
    rows = [row(place, *(answer for _, answer in chats[:3])) for place in range(3)]
    assert refusal(lambda: stage(rows, margin=1000.0)) == (
        "error: none of 3 instructions has two responses 1000 apart\n\n"
        "hint: set `prefer.margin` lower, or use more `temperatures`"
    )
    assert refusal(stage, [row(0, "short")]).startswith("error: none of 1 instructions has two responses 0.5 apart")
