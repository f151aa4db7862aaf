import dataclasses

import pytest

from launcher.runfolder.done import fingerprint, identity, inputs_of
from launcher.runfolder.plan import Bucket, Budget, Code, Image, Input, Machine, Must, Plan, Source, Stage

ONE = Stage("one", ("python", "x={input.train}"), config={"batch": 8}, steps=8, source="trainer")
TWO = Stage("two", ("python", "{before}"), {"before": "one"})
PLAN = Plan(
    "run",
    "some-tiny",
    (ONE, TWO),
    "two",
    Code("tree", ("recipes/some",)),
    packages={"verl": "0.9.1"},
    sources={"trainer": Source("/there", "main", "a" * 40, "trainer")},
    inputs={"train": Input("a", "train.jsonl", 1, "1" * 64, 8), "val": Input("b", "val.jsonl", 1, "2" * 64, 8)},
)


def prints(plan):
    return [fingerprint(plan, stage) for stage in plan.stages]


def one(**fields):
    return dataclasses.replace(PLAN, stages=(dataclasses.replace(ONE, **fields), TWO))


def whole(**fields):
    return dataclasses.replace(PLAN, **fields)


@pytest.mark.parametrize(
    "plan",
    [
        one(argv=("python", "y={input.train}")),
        one(config={"batch": 4}),
        one(steps=9),
        one(source=None),
        whole(code=Code("other", ("recipes/some",))),
        whole(packages={"verl": "0.9.2"}),
        whole(environment="e" * 64),
        whole(sources={"trainer": Source("/there", "main", "b" * 40, "trainer")}),
        whole(sources={"trainer": Source("/other", "main", "a" * 40, "trainer")}),
        whole(sources={"trainer": Source("/there", "main", "a" * 40, "trainer", "src")}),
        whole(inputs={**PLAN.inputs, "train": Input("a", "train.jsonl", 1, "3" * 64, 8)}),
    ],
)
def test_what_changes_a_stage_s_result_changes_its_fingerprint_and_those_of_its_followers(plan):
    for before, after in zip(prints(PLAN), prints(plan), strict=True):
        assert before != after


@pytest.mark.parametrize(
    "plan",
    [
        one(grace=1),
        one(must=Must(("a",))),
        whole(run="other"),
        whole(budget=Budget(1.0)),
        whole(machine=Machine("runpod")),
        whole(secrets={"A": True}),
        whole(disk_bytes=5),
        whole(code=Code("tree", ("recipes/some",), "c" * 40, True)),
        whole(forced=("memory",)),
        whole(image=Image("launcher-some:cpu-1", "cpu", "l" * 64, "c" * 64)),
        whole(bucket=Bucket("s3://some/folder")),
        whole(sources={"trainer": Source("/there", "v2", "a" * 40, "trainer")}),
        whole(inputs={**PLAN.inputs, "val": Input("b", "val.jsonl", 1, "3" * 64, 8)}),
        whole(inputs={**PLAN.inputs, "train": Input("/moved", "train.jsonl", 1, "1" * 64, 8)}),
    ],
)
def test_what_leaves_a_stage_s_result_the_same_leaves_its_fingerprint(plan):
    assert prints(PLAN) == prints(plan)


def test_a_change_of_a_later_stage_leaves_the_earlier_one_alone():
    later = dataclasses.replace(PLAN, stages=(ONE, dataclasses.replace(TWO, config={"a": 1})))
    assert prints(later)[0] == prints(PLAN)[0]
    assert prints(later)[1] != prints(PLAN)[1]


def test_a_stage_is_identified_by_the_inputs_it_names():
    assert inputs_of(ONE, PLAN.inputs) == ["train"]
    assert identity(PLAN, TWO)["inputs"] == {}
