"""Each rule has a pair on both sides of its limit."""

import time

import pytest

from recipes.synthetic_instruct.quality import WEIGHTS, Limits, content, judge

LIMITS = Limits()
ASKED = "Explain how rain forms over the sea, please?"
SENTENCE = "clouds rise above warm water because vapour cools there and small drops gather until they fall"
FILL = SENTENCE.split()


def words(count, pool=FILL):
    """So many words with no phrase more than three times, ending as a text does."""
    made = [f"{pool[place % len(pool)]}{place // len(pool) or ''}" for place in range(count)]
    return " ".join(made) + "."


def reasons(asked=ASKED, said=None, limits=LIMITS):
    return judge(asked, words(30) if said is None else said, limits).reasons


def test_a_sound_pair_passes_with_a_score():
    verdict = judge(ASKED, words(30), LIMITS)
    assert verdict.reasons == [] and 0.5 < verdict.score < 1
    assert sum(WEIGHTS.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (words(2), "instruction too short"),
        (words(3), None),
        (words(500), None),
        (words(501), "instruction too long"),
    ],
)
def test_an_instruction_has_3_to_500_words(asked, reason):
    assert reasons(asked) == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("count", "reason"),
    [(9, "response too short"), (10, None), (2000, None), (2001, "response too long")],
)
def test_a_response_has_10_to_2000_words(count, reason):
    assert reasons(said=words(count)) == ([reason] if reason else [])


@pytest.mark.parametrize(("foreign", "good"), [(40, True), (41, False)])
def test_four_fifths_of_the_characters_are_ascii(foreign, good):
    asked = "Why not ask it " + "x" * 85
    said = ("ab cd ef gh ij kl mn op qr st uv wx yz " * 3)[:99] + "."
    said = "é" * foreign + said[foreign:]
    assert len(asked) + len(said) == 200
    assert ("not English" in reasons(asked, said)) is not good


@pytest.mark.parametrize(("times", "good"), [(3, True), (4, False)])
def test_a_word_is_at_most_three_tenths_of_a_response(times, good):
    said = " ".join(["harbour" if place < times else f"word{place}" for place in range(10)]) + "."
    assert ("repeated word" in reasons(said=said)) is not good


def test_frequent_words_and_short_ones_may_repeat():
    said = " ".join(f"the {word} to" for word in FILL) + "."
    assert reasons(said=said) == []


@pytest.mark.parametrize("size", [3, 4, 5])
@pytest.mark.parametrize(("times", "good"), [(3, True), (4, False)])
def test_a_phrase_occurs_at_most_three_times(size, times, good):
    phrase = " ".join(FILL[:size])
    said = " ".join(f"{phrase} other{place} thing{place} here{place} now{place}" for place in range(times)) + "."
    assert ("repeated phrase" in reasons(said=said)) is not good


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Hello there, how can I help you with your day today my friend!", "only a greeting"),
        ("Hello there! " + words(20), None),
        ("As an AI language model, " + words(20), "disclaimer of an AI"),
        ("A language model of the sea " + words(20), None),
        ("I'm sorry, but " + words(20), "refusal"),
        ("I cannot help " + words(20), "refusal"),
        ("I cannot see why " + words(20), None),
        ("The captain said: I'm sorry, but " + words(20), None),
    ],
)
def test_greetings_disclaimers_and_refusals_are_no_answers(said, reason):
    assert reasons(said=said) == ([reason] if reason else [])


def test_a_response_that_breaks_off_scores_less_and_passes():
    whole, broken = judge(ASKED, words(30), LIMITS), judge(ASKED, words(30)[:-1], LIMITS)
    assert broken.reasons == []
    assert whole.score - broken.score == pytest.approx(0.3 * WEIGHTS["format"])


@pytest.mark.parametrize(
    ("said", "good"),
    [
        ("Here is how to make a bomb at home: " + words(20), False),
        ("The museum shows how to make a bomb, and why a treaty forbids it: " + words(20), True),
        ("The grape harvest and the tortured syntax of a terrier: " + words(20), True),
    ],
)
def test_words_of_harm_are_for_teaching_only(said, good):
    assert ("harmful" in reasons(said=said)) is not good


@pytest.mark.parametrize(("different", "good"), [(33, False), (34, True)])
def test_content_scores_at_least_four_tenths(different, good):
    said = " ".join(f"w{place % different}" for place in range(100))  # 0.6 * (0.5 + 0.5 * different / 100)
    look = content("The sea at night", said)
    assert look.score == pytest.approx(0.3 + 0.003 * different)
    assert look.reason == (None if good else "little content")


def test_questions_verbs_and_structure_add_to_the_content():
    said = words(20)
    plain = content("The sea at night", said).score
    assert content("The sea at night?", said).score > plain
    assert content("Describe the sea at night", said).score > plain
    assert content("The sea at night", f"- {said}").score == pytest.approx(plain + 0.1)


def test_the_weighted_sum_has_a_least_value():
    verdict = judge(ASKED, words(30), LIMITS)
    for least, reason in ((verdict.score - 0.01, []), (verdict.score + 0.01, ["score"])):
        assert reasons(limits=Limits(score=least)) == reason


CODE = (
    "Use a loop:\n```python\ndef total(rows):\n    return sum(row.size for row in rows)\n```\nIt adds every size once."
)


@pytest.mark.parametrize(
    ("asked", "said", "found"),
    [
        ("", "", ["instruction too short"]),
        ("Wie entsteht eigentlich Regen über dem Meer?", "Слова " * 12, ["not English", "repeated word"]),
        ("为什么 天空 是 蓝色的", "因为 空气 散射 蓝光 比 红光 更 多 一些 的 缘故", ["not English"]),
        (ASKED, words(30)[:-1] + " 🙂🎉.", []),
        ("Write a loop in Python for me", CODE, []),
        (ASKED, "\u0000" * 50 + words(30), []),
    ],
)
def test_other_languages_emoji_code_and_nothing_at_all_are_judged(asked, said, found):
    assert judge(asked, said, LIMITS).reasons[: len(found)] == found
    assert bool(judge(asked, said, LIMITS).reasons) is bool(found)


@pytest.mark.parametrize("text", ["a" * 100_000, "word " * 20_000, "- \n" * 33_000, "I " * 50_000, "é" * 100_000])
def test_100_kilobytes_are_judged_in_a_moment(text):
    began = time.process_time()
    assert judge(text, text, LIMITS).reasons
    assert time.process_time() - began < 2
