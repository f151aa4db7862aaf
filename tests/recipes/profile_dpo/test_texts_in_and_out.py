"""Profiles, likeness, prompts, verdicts: text in, values out."""

import pytest

from recipes.profile_dpo import prompts
from recipes.profile_dpo.judge.verdict import Bias, Shown, choice, orders, result
from recipes.profile_dpo.profile import parse
from recipes.profile_dpo.similarity import Nearest, different, likeness

GOOD = 'Domain: "The sea"\n\nCompetencies:\n- Tides: measures them\n- Waves: models them\n- Sand: follows it'


def test_a_profile_is_read_and_written_the_same():
    made = parse(GOOD)
    assert (made.domain, made.competencies[1]) == ("The sea", ("Waves", "models them"))
    assert made.text() == GOOD


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace('"', ""),
        f"Here it is:\n{GOOD}\n\nI hope this helps - it was: fun.",
        GOOD.replace("- ", "* "),
        GOOD.replace("\n- Waves", "\n\n- **Waves**"),
    ],
)
def test_what_models_write_around_a_profile_is_left_out(text):
    assert parse(text).text() == GOOD


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("", "no domain"),
        ('Domain: ""\nCompetencies:\n', "an empty domain"),
        (GOOD.replace("The sea", "sea " * 50), "a domain that is a text"),
        ('Domain: "The sea"\n- Tides: x', "no list of competencies"),
        (GOOD.rpartition("\n")[0], "fewer than 3 competencies"),
        (GOOD + "".join(f"\n- Skill {number}: x" for number in range(6)), "more than 8 competencies"),
        (GOOD.replace("- Sand", "- tides"), "a competency twice"),
        (GOOD.replace("- Waves: models them", "and then there is more"), "fewer than 3 competencies"),
        (GOOD.replace("- Sand", f"- {'sand ' * 40}"), "fewer than 3 competencies"),
    ],
)
def test_a_text_that_is_no_profile_says_what_it_lacks(text, lacks):
    assert parse(text) == lacks


def test_likeness_is_symmetric_and_counts_words_as_often_as_they_are_there():
    one, other = "tides tides and waves", "waves and sand"
    assert likeness(one, other) == likeness(other, one) == 4 / 7
    assert likeness("A sea", "a SEA!") == 1 and likeness("a", "b") == 0
    # a part of a text is not the text, whichever comes first
    assert different(["a b c d e f", "a b"], 0.95) == ["a b c d e f", "a b"]
    assert different(["a b", "A, b", "c d"], 0.95) == ["a b", "c d"]


def test_the_nearest_has_the_rare_words():
    near = Nearest(["the sea and the tide", "the wage and the price", "the sea and the price of salt"])
    assert near.order("a tide of the sea") == [0, 2, 1]
    assert near.order("nothing known") == [0, 1, 2]


def test_writers_and_judges_are_asked_in_one_message_of_the_users():
    (asked,) = prompts.write(["one", "two"], [{"abstracts": ["three"], "profile": GOOD}])
    assert asked["role"] == "user"
    assert asked["content"].endswith("Abstracts:\n1. one\n2. two") and f"Its profile:\n{GOOD}" in asked["content"]
    (judged,) = prompts.judge(["one"], "first", "second")
    assert judged["content"].endswith("Abstracts:\n1. one\n\nProfile 1:\nfirst\n\nProfile 2:\nsecond")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ('{"reasoning": "so", "preferred_profile": 2}', 2),
        ('```json\n{"preferred_profile": "1"}\n```', 1),
        ('I think {this}: {"preferred_profile": 1} and no more', 1),
        ('{"preferred_profile": 0}', None),
        ('{"preferred_profile": 3}', None),
        ('{"preferred_profile": true}', None),
        ('{"preferred_profile": 1.0}', None),
        ('{"preferred_profile": null}', None),
        ('{"better": 1}', None),
        ('[{"preferred_profile": 1}', 1),
        ('{"preferred_profile": 1', None),
        ("Profile 1 is better", None),
        ("", None),
    ],
)
def test_only_json_that_says_1_or_2_is_an_answer(text, made):
    assert choice(text) == made


def test_a_match_is_asked_in_both_orders_or_in_one_by_a_coin_that_stays():
    assert orders("u", 3, 1, 2, 0) == [Shown("u", 3, 1), Shown("u", 1, 3)]
    firsts = [orders("u", 0, 1, 1, seed) for seed in range(40)]
    assert all(len(one) == 1 for one in firsts) and {one[0].first for one in firsts} == {0, 1}
    assert firsts == [orders("u", 0, 1, 1, seed) for seed in range(40)]


def told(first, second):
    bias = Bias()
    asked = orders("u", 5, 7, 2, 0)
    return result(asked, {asked[0].key: first, asked[1].key: second}, 0, bias), bias


def test_orders_that_agree_decide():
    made, bias = told(1, 2)
    assert made == (5, 7, True)
    assert bias.numbers() | {"coins": 0} == {
        "answers": 2,
        "first": 1,
        "both": 1,
        "against": 0,
        "unanswered": 0,
        "coins": 0,
        "first_share": 0.5,
        "disagreement": 0.0,
    }


@pytest.mark.parametrize("answers", [(1, 1), (2, 2), (None, None)])
def test_a_coin_decides_where_they_contradict_each_other_or_say_nothing(answers):
    made, bias = told(*answers)
    assert not made.decided and {made.winner, made.loser} == {5, 7} and bias.coins == 1
    assert made == told(*answers)[0], "the same coin each time"
    assert bias.against == (answers[0] is not None)


def test_one_answer_of_two_decides():
    made, bias = told(None, 1)
    assert made == (7, 5, True) and (bias.unanswered, bias.both) == (1, 0)


def test_bias_is_a_share_of_what_there_is():
    assert Bias().numbers()["first_share"] == 0
    assert Bias(answers=4, first=3, both=2, against=1).numbers()["first_share"] == 0.75
    assert Bias(answers=4, first=3, both=2, against=1).numbers()["disagreement"] == 0.5
