"""Which of two instructions goes, on both sides of the similarity."""

import random

import pytest

from recipes.synthetic_instruct.quality import normal, pieces, repeats

FIRST = "Explain in a few sentences how a tide rises and falls along a rocky coast in the north"


def near(text):
    return list(repeats([FIRST, text], 0.8))[1]


def jaccard(one, other):
    one, other = pieces(normal(one)), pieces(normal(other))
    return len(one & other) / len(one | other)


def test_the_first_of_equal_texts_stays():
    assert list(repeats(["a b", "A  b ", "a c", "a b"], 0.8)) == [None, "exact duplicate", None, "exact duplicate"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (FIRST + "!", "near duplicate"),
        (FIRST.replace("few", "two"), "near duplicate"),
        (FIRST.replace("rocky coast in the north", "sandy beach"), None),
        ("Name three birds that cannot fly", None),
        ("", None),
    ],
)
def test_nearly_the_same_goes_and_something_else_stays(text, why):
    assert near(text) == why
    assert (jaccard(FIRST, text) >= 0.8) is (why is not None)


def test_what_goes_is_no_reason_for_another_to_go():
    chain = [FIRST, FIRST + " today", FIRST + " today or tomorrow or later"]
    assert list(repeats(chain, 0.8)) == [None, "near duplicate", None]


@pytest.mark.parametrize(
    "text", ["日本語の文章を書いてください、お願いします", "🙂🎉🚀" * 9, "x = 1\ny = 2\nprint(x + y)\n", "é"]
)
def test_every_script_and_code_is_compared(text):
    assert list(repeats([text, text + "a"], 0.99)) == [None, None]
    assert list(repeats([text, text], 0.99)) == [None, "exact duplicate"]


def test_100_kilobytes_are_compared():
    draw = random.Random(0)
    text = "".join(draw.choice("abcdefgh ") for _ in range(100_000))
    assert list(repeats([text, text[:-1] + "z", "short"], 0.8)) == [None, "near duplicate", None]
