import json

import pytest

from launcher.node.stage import read_metrics, shortcomings
from launcher.runfolder.plan import Must


@pytest.fixture
def out(tmp_path):
    (tmp_path / "actor").mkdir()
    (tmp_path / "actor/model_0.pt").write_text("x")
    (tmp_path / "actor/model_1.pt").write_text("")
    (tmp_path / "metrics.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ((), []),
        (("metrics.json", "actor/model_0.pt"), []),
        (("*.safetensors",), ["it wrote no file `*.safetensors`"]),
        (("actor/model_*.pt",), ["its file `actor/model_1.pt` is empty"]),
        (("actor",), ["it wrote no file `actor`"]),
        (("*.bin", "a"), ["it wrote no file `*.bin`", "it wrote no file `a`"]),
    ],
)
def test_every_file_that_is_demanded_is_there_and_not_empty(out, files, found):
    assert shortcomings(Must(files), out, {}) == found


@pytest.mark.parametrize(
    ("conditions", "value", "found"),
    [
        ({"above": 0}, 1e-9, []),
        ({"above": 0}, 0, ["its metric `m` is 0, not above 0"]),
        ({"below": 1.5}, 1, []),
        ({"below": 1}, 1, ["its metric `m` is 1, not below 1"]),
        ({"equals": 8}, 8, []),
        ({"equals": 8}, 8.0, []),
        ({"equals": 8}, 7, ["its metric `m` is 7, not equal to 8"]),
        ({"at_least": 8}, 8, []),
        ({"at_least": 8}, 7.5, ["its metric `m` is 7.5, not at least 8"]),
        ({"above": 1, "below": 3}, 2, []),
        ({"above": 1, "below": 3}, 5, ["its metric `m` is 5, not below 3"]),
        ({"above": 0}, "many", ["it reports no number `m` (the recipe demands `above 0`)"]),
        ({"above": 0}, None, ["it reports no number `m` (the recipe demands `above 0`)"]),
        ({"above": 0}, float("inf"), ["its metric `m` is inf"]),
        ({"below": 0}, float("-inf"), ["its metric `m` is -inf"]),
    ],
)
def test_every_number_that_is_demanded_holds(out, conditions, value, found):
    assert shortcomings(Must(metrics={"m": conditions}), out, {"m": value}) == found


def test_a_number_nobody_asked_about_has_to_be_finite_too(out):
    assert shortcomings(Must(), out, {"a": 1.0, "b": "nan", "c": float("nan")}) == ["its metric `c` is nan"]


def test_a_number_that_is_not_reported_is_missed(out):
    assert shortcomings(Must(metrics={"m": {"equals": 1}}), out, {}) == [
        "it reports no number `m` (the recipe demands `equals 1`)"
    ]


@pytest.mark.parametrize("text", ['{"a": 1', "", "[1]", "3", "\xff"])
def test_metrics_that_are_torn_or_no_table_are_none(out, text):
    (out / "metrics.json").write_bytes(text.encode("latin-1"))
    assert read_metrics(out) == {}
    (out / "metrics.json").unlink()
    assert read_metrics(out) == {}


def test_metrics_are_read_with_nan_and_infinity(out):
    (out / "metrics.json").write_text(json.dumps({"a": float("nan"), "b": float("inf"), "c": 1}))
    found = read_metrics(out)
    assert str(found["a"]) == "nan" and found["b"] == float("inf") and found["c"] == 1
