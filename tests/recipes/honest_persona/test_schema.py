"""Reviewed chats are read as they are on disk; what cannot be used is named."""

import json

import pytest

from recipes.honest_persona import pack
from recipes.honest_persona.preflight import data
from recipes.honest_persona.schema import MARKER, read

from .conftest import SAMPLE

KIND = "split_personality__version_3"


def review(**changed):
    return {"I": f"{MARKER}Was I honest?", "R": "I was.", "P": "PASS", "tags": ["own"]} | changed


def batch(topic="a", item=None, **variant):
    answer = {"S": "So.", "tags": ["answer's"], "interventions": {KIND: review()}} | variant
    return {
        "topic": topic,
        "data": [{"A": "Be kind.", "T": "How?", "inferences": {"x/y": {"A": answer}}} | (item or {})],
    }


@pytest.fixture
def file(tmp_path):
    def file(*batches):
        path = tmp_path / "data.jsonl"
        path.write_text("".join(f"{json.dumps(one)}\n" for one in batches))
        return path

    return file


def test_a_sample_has_the_tags_of_its_review_and_its_answer_and_no_marker(file):
    (one,) = read(file(batch()))
    assert (one.topic, one.condition, one.kind, one.system, one.task, one.answer) == (
        "a",
        "A",
        KIND,
        "Be kind.",
        "How?",
        "So.",
    )
    assert (one.intervention, one.review, one.flag) == ("Was I honest?", "I was.", "PASS")
    assert one.tags == {"own", "answer's"}
    assert (one.id, one.item) == (f"0/0/x_y/A/{KIND}", "0/0")


def test_there_may_be_a_biased_variant_and_need_not():
    both = list(read(SAMPLE))
    assert {one.condition for one in both} == {"A", "B"}
    assert len({one.id for one in both}) == len(both) == 289


def test_a_folder_reads_as_its_packed_file(tmp_path):
    folder = tmp_path / "topics"
    for number, line in enumerate(SAMPLE.read_text().splitlines()):
        (folder / json.loads(line)["topic"]).mkdir(parents=True, exist_ok=True)
        (folder / json.loads(line)["topic"] / f"{number}.json").write_text(line)
    pack.main([str(folder), str(tmp_path / "packed.jsonl")])
    assert list(read(folder)) == list(read(tmp_path / "packed.jsonl")) == list(read(SAMPLE))


def test_the_survey_counts_reviews_and_families():
    assert data.survey(SAMPLE) == "289 reviews of 3 topics: honesty_scare 32, split_personality 257"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (batch(topic=""), ', `topic`: `""` is empty'),
        ({"topic": "a"}, ", `data`: is missing"),
        ({"topic": "a", "data": {}}, ", `data`: is not a list"),
        ({"topic": "a", "data": [1]}, ", `data[0]`: is not an object"),
        (batch(item={"T": 3}), ", `data[0].T`: `3` is not text"),
        (batch(item={"A": 3}), ", `data[0].A`: `3` is not text"),
        (batch(item={"inferences": None}), ", `data[0].inferences`: is not an object"),
        (batch(item={"inferences": {"m": 1}}), ", `data[0].inferences.m`: is not an object"),
        (batch(S=" "), ', `data[0].inferences.x/y.A.S`: `" "` is empty'),
        (batch(tags="x"), ", `data[0].inferences.x/y.A.tags`: is not a list"),
        (batch(tags=[1]), ", `data[0].inferences.x/y.A.tags`: is not a list of texts"),
        (
            batch(interventions={KIND: review(P="MAYBE")}),
            f', `data[0].inferences.x/y.A.interventions.{KIND}.P`: `"MAYBE"` is none of PASS, FAIL, AMBIGUOUS',
        ),
        (batch(interventions={KIND: 1}), f", `data[0].inferences.x/y.A.interventions.{KIND}`: is not an object"),
        ([1], ": is not a JSON object"),
    ],
)
def test_a_bad_batch_is_named_with_its_line_and_place(refusal, file, value, says):
    path = file(batch(), value)
    assert refusal(list, read(path)) == (
        f"error: `{path}`: 1 of 2 batches cannot be used\n  line 2{says}\n\nhint: correct them, or leave them out"
    )


def test_only_the_first_bad_batches_are_listed(refusal, file):
    path = file(*[{"topic": "a"}] * 7)
    assert refusal(list, read(path)).splitlines()[-3] == "  and 2 more"


def test_an_empty_file_is_refused(refusal, file):
    path = file()
    assert refusal(list, read(path)) == (
        f"error: `{path}` has no batches\n\nhint: write one JSON object a line, or give a folder with `<topic>/*.json`"
    )


def test_a_folder_s_bad_file_is_named(refusal, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.json").write_text("{")
    (tmp_path / "a/y.json").write_text("[]")
    said = refusal(list, read(tmp_path))
    assert "\n  a/x.json: is not JSON in UTF-8 (" in said and "\n  a/y.json: is not a JSON object\n" in said


def test_packing_a_bad_or_empty_folder_is_refused(refusal, tmp_path):
    assert refusal(pack.main, [str(tmp_path), str(tmp_path / "out")]) == (
        f"error: `{tmp_path}` has no file `<topic>/*.json`\n\nhint: name the folder that holds the topics"
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.json").write_text("{")
    assert refusal(pack.main, [str(tmp_path), str(tmp_path / "out")]).startswith(
        f"error: `{tmp_path}/a/x.json` is not JSON in UTF-8: Expecting property name"
    )
