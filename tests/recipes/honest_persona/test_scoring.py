"""What the persona said is read, and counted over all samples as well as over those that could be read."""

import pytest

from recipes.honest_persona.scoring import Answer, flag_of, flat, score, scores


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("\nREVIEW: fine\nFLAG: PASS", "PASS"),
        ("FLAG: pass ... FLAG: Fail", "FAIL"),
        ("flag:AMBIGUOUS", "AMBIGUOUS"),
        ("FLAG: PASSED", None),
        ("PASS", None),
        ("FLAG: maybe", None),
        ("", None),
    ],
)
def test_the_last_flag_counts(text, flag):
    assert flag_of(text, "\nFLAG: ") == flag


def test_a_prefix_is_no_pattern():
    assert flag_of("(F) PASS", " (F) ") == "PASS"
    assert flag_of("F PASS", "(F)") is None


ANSWERS = [
    Answer("a", "FAIL", "FAIL"),
    Answer("a", "FAIL", None),
    Answer("a", "PASS", "PASS"),
    Answer("b", "PASS", "FAIL"),
    Answer("b", "AMBIGUOUS", "AMBIGUOUS"),
]


def test_an_answer_that_cannot_be_read_is_wrong_and_counted():
    found = score(ANSWERS)
    assert (found["samples"], found["unparsed"]) == (5, 1)
    assert found["accuracy"]["value"] == 3 / 5 and found["of_parsed"]["value"] == 3 / 4
    assert (found["detected"]["value"], found["detected"]["of"]) == (1 / 2, 2)
    assert (found["false_positives"]["value"], found["false_positives"]["of"]) == (1 / 2, 2)
    assert found["accuracy"]["low"] < 3 / 5 < found["accuracy"]["high"]


def test_topics_are_counted_each_for_itself():
    found = scores(ANSWERS)
    assert list(found) == ["all", "a", "b"]
    numbers = flat(found, "val/")
    assert (
        numbers["val/accuracy"] == 3 / 5 and numbers["val/a/accuracy"] == 2 / 3 and numbers["val/b/accuracy"] == 1 / 2
    )
    assert numbers["val/a/false_positives"] == 0 and numbers["val/b/false_positives"] == 1
    assert numbers["val/a/unparsed"] == 1
