"""Candidates: written again as they would have been, counted when they are none; and diverse beams."""

import json
from pathlib import Path

import pytest

from recipes.common.inference.types import Loading
from recipes.common.model import tiny
from recipes.common.model.loading import load_model
from recipes.common.stage.command import Interrupted, Progress
from recipes.common.stage.journal import Journal
from recipes.profile_dpo import generate, prompts, write
from recipes.profile_dpo.beam_search import Search, diverse
from recipes.profile_dpo.generate import candidates_of, summary, write_all, writing
from recipes.profile_dpo.judge.local import LocalJudge
from recipes.profile_dpo.judge.types import JudgeSettings, Question
from recipes.profile_dpo.writer import Speaker, ask, open_writer

from .conftest import JUDGE

WRITING = {
    "engine": "transformers",
    "device": "cpu",
    "dtype": "float32",
    "gpu_share": 0.9,
    "prompt_tokens": 600,
    "profile_tokens": 8,
    "at_once": 4,
    "keep_every": 2,
    "seed": 3,
}
SETTINGS = {**WRITING, "candidates": 2, "method": "sampling", "temperature": 0.8, "top_p": 0.95, "likeness": 0.9}
UNITS = [
    {"unit": f"a{number}", "abstracts": ["the sea"], "prompt": prompts.write([f"the sea {number}"], [])}
    for number in range(5)
]
GOOD = '"The sea"\n\nCompetencies:\n- Tides: measures\n- Waves: models\n- Sand: follows'


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """Random weights: what it writes is noise, and no profile."""
    folder = tmp_path_factory.mktemp("writer")
    tiny.save(folder, [unit["prompt"][0]["content"] for unit in UNITS])
    return folder


def test_a_second_start_writes_what_the_first_would_have(model, tmp_path):
    settings = generate.Settings(**SETTINGS)
    each = writing(open_writer(model, settings), settings)
    whole, part = Journal(tmp_path / "whole"), Journal(tmp_path / "part")
    write_all(UNITS, whole, settings, each, Progress(tmp_path / "whole"), lambda: False)
    stops = iter([False, True])
    with pytest.raises(Interrupted) as caught:
        write_all(UNITS, part, settings, each, Progress(tmp_path / "part"), lambda: next(stops))
    assert str(caught.value) == "profiles of 2 of 5 authors are written"
    path = part.path
    path.write_text(path.read_text().splitlines(keepends=True)[0] + '{"unit"')  # a kill in the middle of a batch
    again = Journal(tmp_path / "part")
    write_all(UNITS, again, settings, each, Progress(tmp_path / "part"), lambda: False)
    assert [row["texts"] for row in again.rows] == [row["texts"] for row in whole.rows]
    assert len({text for row in whole.rows for text in row["texts"]}) == 10, "every draw is another"
    done = [json.loads(line) for line in (tmp_path / "part/progress.jsonl").read_text().splitlines()]
    kept = [int(one["checkpoint"].removeprefix("rows-")) for one in done if "checkpoint" in one]
    assert kept == [2, 2, 2, 4], "when two are written, at the stop, and again after the kill"


def test_a_prompt_that_is_too_long_is_left_out_and_counted(model, tmp_path):
    settings = generate.Settings(**{**SETTINGS, "prompt_tokens": 300})
    long = {**UNITS[0], "unit": "long", "prompt": prompts.write(["the sea and the tide " * 200], [])}
    each = writing(open_writer(model, settings), settings)
    made = each([UNITS[0], long], 0)
    assert len(made[0]) == 2 and made[1] == []


def test_what_is_no_profile_or_the_same_once_more_is_counted():
    rows = [
        {
            "texts": [f" {GOOD}", f" {GOOD}\n", " nothing", f" {GOOD.replace('Tides', 'Harbours')}"],
            "tokens": 9,
            "seconds": 1,
        },
        {"texts": [f" {GOOD}", " nothing"], "tokens": 9, "seconds": 1},
        {"texts": [], "tokens": 0, "seconds": 1},
    ]
    found, failed = candidates_of(UNITS[:3], rows, 0.9)
    assert [one["unit"] for one in found] == ["a0"] and len(found[0]["profiles"]) == 2
    assert found[0]["profiles"][0] == f"Domain: {GOOD}"
    numbers = summary(rows, found, failed, generate.Settings(**SETTINGS))
    assert (numbers["texts"], numbers["unparsed"], numbers["profiles"], numbers["alike_or_alone"]) == (6, 2, 2, 2)
    assert numbers["unparsed: no list of competencies"] == 2 and numbers["too_long"] == 1


def test_a_writer_without_a_profile_is_said(model, tmp_path, refusal):
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(unit) + "\n" for unit in UNITS))
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    words = [str(tmp_path / "settings.json"), "--model", str(model), "--data", str(tmp_path)]
    words += ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    said = refusal(generate.main, words)
    assert said.startswith("error: no author of 5 has two different profiles; texts that are none: {'no")
    assert said.endswith(
        "hint: read `texts` in rows.jsonl of the stage's work folder; the writer must be an Instruct model"
    )
    assert json.loads((tmp_path / "out/metrics.json").read_text())["texts"] == 10


def test_another_round_draws_other_texts_from_the_same_model(model, tmp_path, refusal):
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(unit) + "\n" for unit in UNITS))
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    words = [str(tmp_path / "settings.json"), "--model", str(model), "--data", str(tmp_path)]
    drawn = []
    for number in ("1", "2"):
        work = tmp_path / number
        refusal(generate.main, [*words, "--out", str(work / "out"), "--work", str(work), "--round", number])
        drawn.append({text for row in Journal(work).rows for text in row["texts"]})
    assert len(drawn[0]) == len(drawn[1]) == 10 and not drawn[0] & drawn[1]


def test_those_held_out_are_written_about_by_every_model(model, tmp_path):
    long = {**UNITS[0], "unit": "long", "prompt": prompts.write(["the sea and the tide " * 400], [])}
    (tmp_path / "held_out.jsonl").write_text("".join(json.dumps(unit) + "\n" for unit in [*UNITS, long]))
    (tmp_path / "settings.json").write_text(json.dumps({**WRITING, "answer_temperature": 0.0, "answer_top_p": 0.8}))
    words = [str(tmp_path / "settings.json"), "--model", str(model), "--data", str(tmp_path)]
    write.main([*words, "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")])
    rows = [json.loads(line) for line in (tmp_path / "out/profiles.jsonl").read_text().splitlines()]
    assert [row["unit"] for row in rows] == ["a0", "a1", "a2", "a3", "a4", "long"]
    assert json.loads((tmp_path / "out/metrics.json").read_text())["unparsed"] == 6


def test_the_first_beam_is_greedy_and_the_others_are_unlike_it(model):
    loaded = load_model(model, "cpu", "float32", False).eval()
    speaker = Speaker(Loading(model, "cpu", "float32", False, 600, 0.9), "transformers")
    prompt = ask(speaker, UNITS[0]["prompt"])
    greedy = loaded.generate(
        input_ids=speaker.tokenizer.encode("", return_tensors="pt").new_tensor([prompt]).long(),
        do_sample=False,
        max_new_tokens=8,
        eos_token_id=list(speaker.stop),
        pad_token_id=speaker.stop[0],
        temperature=None,
    )[0, len(prompt) :].tolist()
    alike = diverse(loaded, prompt, Search(3, 0.0, 8, speaker.stop))
    assert alike == [greedy] * 3
    apart = diverse(loaded, prompt, Search(3, 100.0, 8, speaker.stop))
    assert apart[0] == greedy
    for place in range(8):
        tokens = [text[place] for text in apart if len(text) > place]
        assert len(set(tokens)) == len(tokens), "no two beams have the same token in the same place"


def test_a_beam_ends_by_itself(model):
    loaded = load_model(model, "cpu", "float32", False).eval()
    speaker = Speaker(Loading(model, "cpu", "float32", False, 600, 0.9), "transformers")
    prompt = ask(speaker, UNITS[0]["prompt"])
    long = diverse(loaded, prompt, Search(2, 100.0, 6, speaker.stop))
    stop = long[0][2]  # pretend that the third token ends a text
    short = diverse(loaded, prompt, Search(2, 100.0, 6, (stop,)))
    assert short[0] == long[0][: long[0].index(stop)] and len(short[1]) > len(short[0])


def test_beams_are_candidates_too(model):
    settings = generate.Settings(**{**SETTINGS, "method": "beams", "candidates": 3})
    made = writing(open_writer(model, settings), settings)(UNITS[:2], 0)
    assert [len(one) for one in made] == [3, 3] and len({text for text, _ in made[0]}) == 3


def test_a_profile_begins_with_its_first_word(model):
    speaker = Speaker(Loading(model, "cpu", "float32", False, 600, 0.9), "transformers")
    assert speaker.tokenizer.decode(ask(speaker, UNITS[0]["prompt"])).endswith("<|im_start|>assistant\nDomain:")
    assert speaker.stop == (speaker.tokenizer.convert_tokens_to_ids("<|im_end|>"),)


def test_a_local_judge_is_greedy_first_and_counts_tokens(model, refusal):
    settings = JudgeSettings(**{**JUDGE, "judge": "local", "judge_tokens": 6})
    judge = LocalJudge(model, settings)
    asked = [Question(f"k{n}", prompts.judge(["sea"], "a", "b" * n), ("sea",), ("a", "b" * n)) for n in range(3)]
    replies = list(judge.ask(asked, 0, lambda: False))
    assert [one.key for one in replies] == ["k0", "k1", "k2"] and all(one.tokens_in > 100 for one in replies)
    assert replies == list(judge.ask(asked, 0, lambda: False)) != list(judge.ask(asked, 1, lambda: False))
    assert list(judge.ask(asked, 0, lambda: True)) == []
    assert judge.numbers()["memory_predicted_gb"] > 0
    short = LocalJudge(model, JudgeSettings(**{**JUDGE, "judge": "local", "judge_prompt_tokens": 20}))
    assert "`judge_prompt_tokens` is 20" in refusal(lambda: list(short.ask(asked, 0, lambda: False)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"method": "beam"}, "`method` is `beam`, not one of `sampling`, `beams`"),
        ({"candidates": 1}, "`candidates` is `1`, less than 2"),
        ({"temperature": 0.0}, "`temperature` is `0.0`, not above 0: all candidates would be the same"),
        ({"likeness": 1.5}, "`likeness` is `1.5`, not above 0 and at most 1"),
        ({"at_once": 0}, "`at_once` is `0`, less than 1"),
        (
            {"method": "beams", "engine": "vllm", "device": "cuda"},
            "`method` is `beams`, which `engine` `vllm` does not support; use `transformers`",
        ),
    ],
)
def test_settings_that_cannot_be(change, says):
    with pytest.raises(ValueError) as caught:
        generate.Settings(**{**SETTINGS, **change})
    assert str(caught.value) == says
