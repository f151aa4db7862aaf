"""The filter's stage: counts that add up, a readable report, and sentences where nothing is left."""

import json

import pytest

from recipes.common.stage.command import Mistake
from recipes.common.stage.journal import read_jsonl
from recipes.common.stage.settings import read_settings
from recipes.synthetic_instruct import filter
from recipes.synthetic_instruct.drops import Drops

GOOD = {
    "device": "cpu",
    "instruction_words": [3, 500],
    "response_words": [10, 2000],
    "ascii_share": 0.8,
    "repeated_word": 0.3,
    "score": 0.5,
    "similarity": 0.8,
    "keep": 1000,
    "slack": 1.2,
    "eval_share": 0.2,
    "judged_at_once": 8,
    "seed": 42,
}


def row(index, instruction, response):
    return {"index": index, "instruction": instruction, "response": response}


@pytest.fixture
def stage(tmp_path, judge, write):
    """Filters pairs with the settings changed; the output folder."""

    def run(pairs, **changes):
        write("pairs/pairs.jsonl", [row(3 * index, *pair) for index, pair in enumerate(pairs)])
        (tmp_path / "config.json").write_text(json.dumps(GOOD | changes))
        words = {"pairs": tmp_path / "pairs", "judge": judge, "out": tmp_path / "out", "work": tmp_path / "work"}
        flags = [str(word) for name, place in words.items() for word in (f"--{name}", place)]
        filter.main([str(tmp_path / "config.json"), *flags])
        return tmp_path / "out"

    return run


HARD = [
    ("", ""),
    ("a" * 100_000, "b" * 100_000),
    ("Wie wird das Wetter morgen?", "Слова о погоде и о море, которые никто здесь не прочтёт до конца никогда"),
    ("What does 🙂 mean here?", "🙂" * 40),
    ("Say it once more, please", "again " * 40),
    ("What is your name, friend?", "As an AI language model, I have no name, and I hope that this is fine with you."),
]


def test_the_counts_add_up_to_what_came_in(stage, chats):
    again = [(chats[0][0].upper(), chats[0][1]), (chats[1][0] + "!", chats[1][1])]
    out = stage([*chats[:20], *HARD, *again])
    report = json.loads((out / "report.json").read_text())
    assert report["rows"] == 28 and report["kept"] == 20
    assert report["dropped"] == {
        "instruction too short": 2,
        "disclaimer of an AI": 1,
        "exact duplicate": 1,
        "near duplicate": 1,
        "not English": 1,
        "repeated word": 1,
        "response too short": 1,
    }
    assert report["kept"] + sum(report["dropped"].values()) == report["rows"]
    kept = [*read_jsonl(out / "train.jsonl"), *read_jsonl(out / "eval.jsonl")]
    dropped = list(read_jsonl(out / "dropped.jsonl"))
    assert sorted(one["index"] for one in [*kept, *dropped]) == list(range(0, 84, 3))
    assert {(one["instruction"], one["response"]) for one in kept} == {*chats[:20]}
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["train_rows"], metrics["eval_rows"], metrics["passed"]) == (16, 4, 20)
    assert metrics["reward_sd"] > 0.1


def test_the_report_shows_examples_on_one_line_each(stage, chats):
    text = (stage([*chats[:4], *HARD]) / "report.md").read_text()
    assert "| came in | 10 | 100.0% |" in text and "| dropped: not English | 1 | 10.0% |" in text
    assert "- `12` (empty) → (empty)" in text
    assert max(map(len, text.splitlines())) < 400


def test_the_best_by_reward_stay_where_many_more_pass_than_wanted(stage, chats):
    out = stage(chats[:24], keep=19)
    report = json.loads((out / "report.json").read_text())
    assert report["dropped"] == {"not among the best 19": 5}
    kept = [one["reward"] for name in ("train", "eval") for one in read_jsonl(out / f"{name}.jsonl")]
    worst = [one["reward"] for one in read_jsonl(out / "dropped.jsonl")]
    assert min(kept) >= max(worst)


def test_some_more_than_wanted_may_pass(stage, chats):
    assert json.loads((stage(chats[:24], keep=20) / "report.json").read_text())["dropped"] == {}


def test_the_split_is_the_same_each_time_and_never_empty():
    rows = [{"index": place} for place in range(50)]
    train, held = filter.split(rows, 0.1, 42)
    assert (len(train), len(held)) == (45, 5) and filter.split(rows, 0.1, 42) == (train, held)
    assert {one["index"] for one in train + held} == {*range(50)}
    assert [len(part) for part in filter.split(rows[:2], 0.01, 1)] == [1, 1]
    assert [len(part) for part in filter.split(rows[:2], 0.99, 1)] == [1, 1]


def test_a_lost_row_is_noticed():
    with pytest.raises(AssertionError, match="3 rows came in, 2 kept, dropped"):
        Drops(3, kept=2).check()


def test_nothing_to_filter_and_nothing_left_are_sentences(stage, refusal, tmp_path, chats):
    assert refusal(stage, []) == (
        f"error: `{tmp_path / 'pairs/pairs.jsonl'}` has no rows to filter\n\nhint: generate some first"
    )
    assert refusal(stage, HARD) == (
        f"error: none of 6 pairs passed\n\nhint: the reasons are in {tmp_path / 'out/report.md'}"
    )
    assert "| kept | 0 | 0.0% |" in (tmp_path / "out/report.md").read_text()
    assert refusal(stage, chats[:1]) == (
        "error: only 1 rows are left, and training and evaluation need one each\n\nhint: generate more"
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"instruction_words": [3]}, "`instruction_words` is `[3]`, not a smallest and a largest number"),
        ({"response_words": [9, 3]}, "`response_words` is `[9, 3]`, not a smallest and a largest number"),
        ({"keep": 0}, "`keep` is `0`, less than 1"),
        ({"similarity": 1.5}, "`similarity` is `1.5`, not from 0 to 1"),
        ({"eval_share": 1.0}, "`eval_share` is `1.0`, not between 0 and 1"),
        ({"slack": 0.5}, "`slack` is `0.5`, less than 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, changes, says):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(GOOD | changes))
    with pytest.raises(Mistake) as caught:
        read_settings(path, filter.Settings)
    assert caught.value.error == f"`{path}`: {says}"
