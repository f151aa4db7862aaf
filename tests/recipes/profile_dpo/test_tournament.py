"""The tournament, evaluation and gate as stages, with a judge that counts words: killed, resumed, and counted."""

import json
import random

import pytest

from recipes.common.stage.command import StageError
from recipes.profile_dpo import evaluate, gate, tournament
from recipes.profile_dpo.judge.types import Question
from recipes.profile_dpo.judge.words import WordJudge, score

from .conftest import JUDGE, completion

WORDS = ["tides", "waves", "sands", "storms", "currents", "rivers", "boats", "harbours", "fishes", "corals"]


def unit(name, count):
    """An author whose profile number n has n words of the abstract: the last one is the best."""
    texts = [f'Domain: "{name}"\n\nCompetencies:\n- skill {n}: {" ".join(WORDS[:n])}' for n in range(count)]
    random.Random(name).shuffle(texts)
    prompt = [{"role": "user", "content": f"about {name}"}]
    return {"unit": name, "abstracts": [" ".join(WORDS)], "prompt": prompt, "profiles": texts}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "generate").mkdir()
    units = [unit(f"author {number}", count) for number, count in enumerate([8, 7, 2, 5, 4])]
    (tmp_path / "generate/candidates.jsonl").write_text("".join(json.dumps(one) + "\n" for one in units))
    return tmp_path


def run(stage, place, settings, **folders):
    (place / "settings.json").write_text(json.dumps(settings))
    words = [word for name, folder in folders.items() for word in (f"--{name.replace('_', '-')}", str(folder))]
    stage.main([str(place / "settings.json"), *words])


def play(place, out="out", **changes):
    settings = {**JUDGE, "judge": "words", "drop_undecided": False, "eval_share": 0.2, **changes}
    folders = {"candidates": place / "generate", "judge": place, "out": place / out, "work": place / "work"}
    run(tournament, place, settings, **folders)
    return json.loads((place / out / "metrics.json").read_text())


def rows(place, name, out="out"):
    return [json.loads(line) for line in (place / out / name).read_text().splitlines()]


def test_a_judge_that_is_always_right_finds_every_preference(place):
    numbers = play(place)
    assert (numbers["tournaments"], numbers["comparisons"], numbers["answers"]) == (5, 7 + 6 + 1 + 4 + 3, 42)
    assert (numbers["disagreement"], numbers["coins"], numbers["unanswered"], numbers["first_share"]) == (0, 0, 0, 0.5)
    train, held = rows(place, "train.jsonl"), rows(place, "eval.jsonl")
    assert numbers["preferences"] == len(train) + len(held)
    assert not {one["unit"] for one in train} & {one["unit"] for one in held}
    for one in [*train, *held]:
        assert score((" ".join(WORDS),), one["chosen"]) > score((" ".join(WORDS),), one["rejected"])
        assert one["prompt"] == [{"role": "user", "content": f"about {one['unit']}"}] and one["decided"]
    eight = [one for one in [*train, *held] if one["unit"] == "author 0"]
    assert len(eight) == 12
    assert "| the judge preferred the first of two | 50.0% of 42 answers |" in (place / "out/report.md").read_text()


def test_a_second_start_asks_nothing_again_and_ends_the_same(place, monkeypatch):
    whole = play(place)
    first = {name: rows(place, name) for name in ("train.jsonl", "eval.jsonl", "matches.jsonl")}
    journal = place / "work/rows.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    asked = []
    monkeypatch.setattr(WordJudge, "ask", watched(WordJudge.ask, asked))
    for kept in (0, 5, 23, 41):
        journal.write_text("".join(lines[:kept]) + lines[kept][:9])  # a kill tears the last line
        asked.clear()
        again = play(place, out=f"again{kept}")
        assert len(asked) == 42 - kept
        assert {name: rows(place, name, f"again{kept}") for name in first} == first
        assert {**again, **clock(whole)} == whole
    asked.clear()
    play(place, out="last")
    assert asked == []


def clock(numbers):
    return {name: value for name, value in numbers.items() if "seconds" in name}


def watched(ask, asked):
    def watching(self, questions, attempt, halt):
        asked.extend(question.key for question in questions)
        return ask(self, questions, attempt, halt)

    return watching


def test_a_judge_with_a_favourite_place_is_found_out(place, service):
    service.answer = lambda path, body: (200, completion(1))
    numbers = play(place, judge="endpoint", endpoint_url=service.url)
    assert (numbers["first_share"], numbers["disagreement"], numbers["coins"]) == (1.0, 1.0, 21)
    assert numbers["preferences"] > 21 and not any(one["decided"] for one in rows(place, "train.jsonl"))
    assert numbers["dollars"] == round((42 * 100 * 5 + 42 * 10 * 15) / 1e6, 4)
    with pytest.raises(StageError) as caught:
        play(place, out="none", judge="endpoint", endpoint_url=service.url, drop_undecided=True)
    assert (caught.value.error, caught.value.hint) == (
        "0 preferences of 5 authors are too few to train and to evaluate",
        "give papers of more authors, or set `drop_undecided` to false",
    )


def test_one_order_asks_half(place):
    numbers = play(place, orders=1)
    assert (numbers["answers"], numbers["both"], numbers["comparisons"]) == (21, 0, 21)


def test_the_endpoint_goes_on_after_it_was_down(place, service):
    served = []

    def answer(path, body):
        served.append(body)
        return (500, {}) if 11 <= len(served) < 20 else (200, completion(2))

    service.answer = answer
    given = {"judge": "endpoint", "endpoint_url": service.url, "endpoint_retries": 0, "endpoint_parallel": 1}
    with pytest.raises(StageError):
        play(place, **given)
    assert len(rows(place, "rows.jsonl", "work")) == 10
    served.extend([None] * 20)
    assert play(place, **given)["answers"] == 42
    assert len(rows(place, "rows.jsonl", "work")) == 42


def test_the_word_judge_says_the_same_in_either_order():
    judge = WordJudge()
    texts = ("waves and sands", "sands and waves")
    said = [
        next(iter(judge.ask([Question("k", [], ("waves sands",), shown)], 0, lambda: False))).text
        for shown in (texts, texts[::-1])
    ]
    assert ['"preferred_profile": 2' in one for one in said] == [True, False]


PROFILES = {"a": "tides waves", "b": "tides", "c": None, "d": "tides waves sands", "e": "tides"}


def written(place, name, profiles):
    (place / name).mkdir()
    lines = [{"unit": unit, "abstracts": [" ".join(WORDS)], "profile": text} for unit, text in profiles.items()]
    (place / name / "profiles.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return place / name


def compare(place, new, old, out="evaluation", **more):
    folders = {"new": new, "current": old, "judge": place, "out": place / out, "work": place / f"{out}-work", **more}
    run(evaluate, place, {**JUDGE, "judge": "words"}, **folders)
    return json.loads((place / out / "metrics.json").read_text())


def test_wins_ties_and_losses_on_the_authors_held_out(tmp_path):
    old = written(tmp_path, "old", PROFILES)
    new = written(tmp_path, "new", {"a": "tides waves sands", "b": "nothing", "c": "x", "d": None, "e": "tides"})
    numbers = compare(tmp_path, new, old)
    assert json.loads((tmp_path / "evaluation/evaluation.json").read_text())["current"] == {
        "current:a": "win",
        "current:b": "loss",
        "current:c": "win",
        "current:d": "loss",
        "current:e": "tie",
    }
    assert (numbers["wins"], numbers["ties"], numbers["losses"], numbers["win_rate"]) == (2, 1, 2, 0.5)
    assert numbers["unparsed"] == 1 and numbers["answers"] == 4, "the judge sees only two that differ"
    assert 0 < numbers["win_low"] < 0.5 < numbers["win_high"] < 1
    assert numbers["win_low"] == pytest.approx(1 - numbers["win_high"], abs=1e-3)
    assert "| the current model | 2 | 1 | 2 | 50.0% |" in (tmp_path / "evaluation/evaluation.md").read_text()


def test_a_later_round_is_compared_with_the_base_too(tmp_path):
    new, old = (
        written(tmp_path, "new", dict.fromkeys("ab", "tides waves")),
        written(tmp_path, "old", {"a": "tides waves sands", "b": "tides"}),
    )
    numbers = compare(tmp_path, new, old, base=written(tmp_path, "base", dict.fromkeys("ab", "x")))
    assert (numbers["win_rate"], numbers["base_win_rate"]) == (0.5, 1.0)


def test_profiles_of_others_and_of_nobody_are_refused(tmp_path, refusal):
    new, old = written(tmp_path, "new", {"a": "x"}), written(tmp_path, "old", {"b": "x"})
    assert refusal(compare, tmp_path, new, old) == (
        "error: the two models wrote about different authors\n\nhint: run the stages after `setup` again"
    )
    empty = written(tmp_path, "empty", {})
    assert refusal(compare, tmp_path, new, empty) == (
        f"error: `{empty / 'profiles.jsonl'}` has no rows\n\nhint: set `held_out` to 1 or more"
    )


@pytest.mark.parametrize(("rate", "became", "trained"), [(0.5, 0, 0), (0.51, 1, 1)])
def test_the_gate_decides_which_model_is_current(tmp_path, rate, became, trained):
    for name in ("before", "after"):
        folder = written(tmp_path, name, {"a": name})
        (folder / "metrics.json").write_text(json.dumps({"repo": "tiny", "revision": None, "dtype": name}))
        (folder / "config.json").write_text(json.dumps({"of": name}))
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/metrics.json").write_text(json.dumps({"win_rate": rate}))
    folders = {
        "before": tmp_path / "before",
        "before_profiles": tmp_path / "before",
        "new": tmp_path / "after",
        "new_profiles": tmp_path / "after",
        "evaluation": tmp_path / "evaluation",
        "out": tmp_path / "out",
    }
    run(gate, tmp_path, {"gate": 0.5}, **folders)
    chosen = "after" if became else "before"
    assert json.loads((tmp_path / "out/config.json").read_text()) == {"of": chosen}
    assert rows(tmp_path, "profiles.jsonl")[0]["profile"] == chosen
    numbers = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (numbers["became_current"], numbers["trained"]) == (became, trained)
    assert json.loads((tmp_path / "before/metrics.json").read_text())["dtype"] == "before", (
        "links are not written through"
    )
