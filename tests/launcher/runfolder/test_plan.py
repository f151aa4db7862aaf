import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.runfolder.plan import (
    Budget,
    Code,
    Image,
    Input,
    Machine,
    Model,
    Must,
    Plan,
    Source,
    Stage,
    digest,
    from_json,
    settings_of,
    to_json,
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
name = st.from_regex(r"[a-z][a-z0-9_.-]{0,7}", fullmatch=True)
number = st.floats(allow_nan=False, allow_infinity=False)
value = st.recursive(
    st.none() | st.booleans() | st.integers() | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)


def table(of):
    return st.dictionaries(text, of, max_size=2)


stage = st.builds(
    Stage,
    name=name,
    argv=st.lists(text, min_size=1, max_size=3).map(tuple),
    config=table(value),
    must=st.builds(Must, files=st.lists(text, max_size=2).map(tuple), metrics=table(table(number))),
    steps=st.none() | st.integers(0),
    grace=st.integers(1),
)


@st.composite
def plans(draw):
    """Stages that need earlier ones, sources that there are, an export among them."""
    plan = draw(loose)
    stages = []
    for one in plan.stages:
        needs = draw(table(st.sampled_from([other.name for other in stages]))) if stages else {}
        source = draw(st.none() | st.sampled_from(sorted(plan.sources))) if plan.sources else None
        stages.append(replace(one, needs=needs, source=source))
    return replace(plan, stages=tuple(stages), export=draw(st.sampled_from(stages)).name)


loose = st.builds(
    Plan,
    run=name,
    recipe=text,
    stages=st.lists(stage, min_size=1, max_size=3).map(tuple),
    export=name,
    code=st.builds(Code, text, st.lists(text, max_size=2).map(tuple), st.none() | text, st.booleans()),
    machine=st.builds(Machine, text, st.lists(text, max_size=2).map(tuple), st.integers(1), st.none() | st.integers()),
    packages=table(text),
    sources=table(st.builds(Source, text, text, name, text, text)),
    models=table(st.builds(Model, text, text, st.none() | text)),
    inputs=table(st.builds(Input, text, name, st.integers(0), text, st.integers(0))),
    image=st.none() | st.builds(Image, text, text, text, text, st.none() | text, st.booleans()),
    secrets=table(st.booleans()),
    disk_bytes=st.integers(0),
    forced=st.lists(text, max_size=2).map(tuple),
    budget=st.builds(Budget, st.none() | number, st.none() | number),
)


@settings(max_examples=40, deadline=None)
@given(plans())
def test_a_plan_read_from_its_own_text_is_the_same_plan_and_the_same_text(plan):
    text = to_json(plan)
    assert from_json(text) == plan
    assert to_json(from_json(text)) == text


SMALL = Plan("run", "some-tiny", (Stage("one", ("a",), {}, {"b": 1}, steps=3),), "one", Code("tree"))


def changed(**fields):
    return json.dumps({**json.loads(to_json(SMALL)), **fields})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (changed(format=2), "this program reads plans of format 1, not `2`"),
        (changed(format="1"), "this program reads plans of format 1, not `1`"),
        ("{}", "this program reads plans of format 1, not `None`"),
        ("[]", "this program reads plans of format 1, not `list`"),
        ("3", "this program reads plans of format 1, not `int`"),
        (changed(rnu="a"), "`Plan` does not have ['rnu']"),
        (changed(code=[]), "`Code` does not have []"),
        (changed(code={"tree": "a", "tere": "b"}), "`Code` does not have ['tere']"),
        (changed(stages={}), "`{}` is not of type list"),
        (changed(stages="one"), "`'one'` is not of type list"),
        (changed(packages=[]), "`[]` is not of type table"),
        (changed(code=None), "`Code` does not have None"),
        (changed(run=3), "`3` is not of type text"),
        (changed(disk_bytes=True), "`True` is not of type whole number"),
        (changed(forced=[None]), "`None` is not of type text"),
        (changed(budget={"max_cost": "1"}), "`1` is not of type number"),
        (changed(run="../a"), "`../a` names no file of the run folder"),
        (changed(stages=[{"name": "..", "argv": ["a"]}], export=".."), "`..` names no file of the run folder"),
        (changed(stages=[{"name": "one", "argv": []}]), "stage `one` has no command"),
        (
            changed(stages=[{"name": "one", "argv": ["a"], "needs": {"x": "two"}}]),
            "stage `one` needs `two`, which no earlier stage makes",
        ),
        (changed(stages=[{"name": "one", "argv": ["a"], "source": "s"}]), "stage `one` has the unknown source `s`"),
        (changed(export="two"), "it exports `two`, which is not a stage"),
        (
            changed(inputs={"i": {"path": "p", "file": "/etc/a", "bytes": 1, "sha256": "", "rows": 1}}),
            "`/etc/a` names no file of the run folder",
        ),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_no_plan_of_this_format_is_refused_with_a_sentence(text, error):
    with pytest.raises(ValueError) as caught:
        from_json(text)
    assert str(caught.value) == error


def test_a_plan_that_lacks_something_is_refused():
    whole = json.loads(to_json(SMALL))
    for name in ("run", "stages", "code", "export"):
        with pytest.raises(TypeError, match=name):
            from_json(json.dumps({key: item for key, item in whole.items() if key != name}))


def test_a_plan_torn_anywhere_is_refused():
    whole = to_json(SMALL)
    for cut in range(len(whole) - 1):
        with pytest.raises(ValueError):
            from_json(whole[:cut])


def test_equal_values_have_equal_digests_in_any_order_of_keys():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})
    assert len(digest(None)) == 64


def test_a_stage_that_counts_finds_its_steps_among_its_settings():
    assert settings_of(SMALL.stages[0]) == {"b": 1, "steps": 3}
    assert settings_of(Stage("a", ("b",), config={"c": 1})) == {"c": 1}
