import dataclasses

import pytest

from launcher.planning.changes import changes, followers, set_aside
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Image, Input, Plan, Source, Stage

DATA = Input("a.jsonl", "train.jsonl", 1, "1" * 64, 8)
SOURCE = Source("/there", "main", "a" * 40, "trainer")
ONE = Stage("one", ("python", "{input.train}"), config={"batch": 8, "rate": 1e-6}, steps=8, source="trainer")
TWO = Stage("two", ("python", "{one}"), {"one": "one"})
THREE = Stage("three", ("python", "{two}"), {"two": "two"})
BESIDE = Stage("beside", ("python",))
PLAN = Plan(
    "run",
    "some-tiny",
    (ONE, TWO, BESIDE, THREE),
    "three",
    Code("tree"),
    packages={"verl": "0.9.1"},
    sources={"trainer": SOURCE},
    inputs={"train": DATA},
)


def with_one(**fields):
    return dataclasses.replace(PLAN, stages=(dataclasses.replace(ONE, **fields), TWO, BESIDE, THREE))


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (PLAN, {}),
        (with_one(config={"batch": 4, "rate": 1e-6}), {"one": ["`batch` was `8`, is now `4`"]}),
        (
            with_one(config={"batch": 8, "words": ["a", "b"]}),
            {"one": ["`rate` was `1e-06`, is now `None`", "`words` was `None`, is now `a b`"]},
        ),
        (with_one(steps=16), {"one": ["`steps` was `8`, is now `16`"]}),
        (
            with_one(argv=("python", "-v", "{input.train}")),
            {"one": ["its argv was `python {input.train}`, is now `python -v {input.train}`"]},
        ),
        (with_one(grace=5), {}),
        (
            dataclasses.replace(PLAN, packages={"verl": "0.9.2"}),
            {name: ["package `verl` was `0.9.1`, is now `0.9.2`"] for name in ("one", "two", "beside", "three")},
        ),
        (
            dataclasses.replace(PLAN, code=Code("other", commit="b" * 40, dirty=True)),
            {name: ["the recipes' code changed"] for name in ("one", "two", "beside", "three")},
        ),
        (dataclasses.replace(PLAN, code=Code("tree", commit="b" * 40, dirty=True)), {}),
        (
            dataclasses.replace(PLAN, sources={"trainer": dataclasses.replace(SOURCE, commit="b" * 40)}),
            {"one": [f"source `commit` was `{'a' * 40}`, is now `{'b' * 40}`"]},
        ),
        (
            dataclasses.replace(PLAN, inputs={"train": dataclasses.replace(DATA, sha256="2" * 64)}),
            {"one": [f"input `train` was `{'1' * 39}…`, is now `{'2' * 39}…`"]},
        ),
        (dataclasses.replace(PLAN, inputs={"train": dataclasses.replace(DATA, path="/elsewhere.jsonl")}), {}),
        (
            dataclasses.replace(PLAN, environment="5" * 64),
            {
                name: [f"its locked packages were `None`, are now `{'5' * 12}`"]
                for name in ("one", "two", "beside", "three")
            },
        ),
        (dataclasses.replace(PLAN, image=Image("launcher-some:cpu-1", "cpu", "5" * 64, "c" * 64)), {}),
        (
            dataclasses.replace(PLAN, stages=(ONE, TWO, BESIDE, dataclasses.replace(THREE, needs={"two": "one"}))),
            {"three": ["its `two` was `two`, is now `one`"]},
        ),
        (dataclasses.replace(PLAN, stages=(ONE, Stage("new", ("a",)))), {"new": ["it is new"]}),
    ],
)
def test_a_difference_is_told_where_it_is_with_both_values(new, says):
    assert changes(PLAN, new) == says


def test_a_stage_is_followed_by_all_that_needs_it_directly_or_not(refusal):
    assert followers(PLAN, "one") == ["one", "two", "three"]
    assert followers(PLAN, "beside") == ["beside"]
    assert refusal(followers, PLAN, "tow") == "error: the run has no stage `tow`\n\nhint: did you mean `two`?"


def test_a_result_set_aside_is_renamed_and_never_deleted(tmp_path):
    folder = RunFolder(tmp_path)

    def result(text):
        folder.stage("two").out.mkdir(parents=True)
        (folder.stage("two").out / "a").write_text(text)
        folder.manifest.write_text(text)

    result("first")
    assert set_aside(folder, ["two", "three"]) == [str(tmp_path / "stages/two.1")]
    result("second")
    assert set_aside(folder, ["two"]) == [str(tmp_path / "stages/two.2")]
    assert (tmp_path / "stages/two.1/out/a").read_text() == "first"
    assert (tmp_path / "stages/two.2/out/a").read_text() == "second"
    assert (tmp_path / "manifest.1.json").read_text() == "first"
    assert (tmp_path / "manifest.2.json").read_text() == "second"
    assert not folder.manifest.exists()
    assert not folder.stage("two").path.exists()


def test_nothing_done_is_nothing_set_aside(tmp_path):
    assert set_aside(RunFolder(tmp_path), ["one"]) == []
    assert list(tmp_path.iterdir()) == []
