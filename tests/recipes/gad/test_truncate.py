"""Shortening a chat from its old end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.common.data.tokens import Tokens
from recipes.common.model import tiny
from recipes.gad.truncate import TooLong, fit

HEADER = "<|im_start|>assistant\n"
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300),
    st.sampled_from(["Why?", "naïve café déjà vu " * 9, "日本語の長い文章です。" * 20, "👩‍👩‍👧‍👦🎉" * 30]),
    st.sampled_from(["x" * 700, "def f():\n\treturn 1\n" * 20, "<|im_end|>" * 90]),
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny.train_tokenizer(["Why is the sky blue?", "How are you today? Fine, thank you."] * 3).save_pretrained(folder)
    return Tokens(folder)


@st.composite
def chats(draw):
    texts = draw(st.lists(TEXTS, min_size=1, max_size=9))
    roles = ["user", "assistant"] * 5
    turns = [{"role": roles[-len(texts) + index - 1], "content": text} for index, text in enumerate(texts)]
    system = draw(st.none() | st.sampled_from(["Be brief.", "Answer like a pirate. 🏴‍☠️"]))
    return ([{"role": "system", "content": system}] if system else []) + turns


@settings(max_examples=120, deadline=None)
@given(chat=chats(), limit=st.integers(70, 400))
def test_a_shortened_chat_is_within_the_limit_and_keeps_its_newest_end(tokens, chat, limit):
    fitted = fit(chat, limit, tokens.count)
    rendered = tokens.render(fitted.messages)
    ids = tokens.tokenizer.apply_chat_template(fitted.messages, add_generation_prompt=True, return_dict=False)
    assert len(ids) == tokens.count(fitted.messages) <= limit
    assert rendered.endswith(HEADER)
    system = chat[:1] if chat[0]["role"] == "system" else []
    kept = fitted.messages[len(system) :]
    assert fitted.messages[: len(system)] == system
    assert kept[:-1] == chat[len(chat) - len(kept) : -1]
    assert chat[-1]["content"] == chat[-1]["content"][: fitted.cut] + kept[-1]["content"]
    assert kept[-1]["content"]
    assert fitted.dropped == len(chat) - len(fitted.messages)
    assert fitted.dropped == 0 or kept[0]["role"] == "user"
    assert fitted.cut == 0 or len(kept) == 1


@settings(max_examples=60, deadline=None)
@given(chat=chats())
def test_nothing_more_than_needed_is_left_out(tokens, chat):
    whole = tokens.count(chat)
    assert fit(chat, whole, tokens.count).messages == chat
    if whole > 71:
        fitted = fit(chat, whole - 1, tokens.count)
        # The chat's oldest turn alone: an exchange, or an answer that stands first.
        assert fitted.dropped <= 2


def test_old_turns_go_in_whole_exchanges_and_the_system_message_stays():
    def count(messages):
        return sum(len(message["content"]) for message in messages)

    system, *turns = (
        {"role": role, "content": letter * 10}
        for role, letter in [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    )
    last = {"role": "user", "content": "0123456789"}
    chat = [system, *turns, last]
    assert fit(chat, 59, count) == ([system, *turns[2:], last], 2, 0)
    assert fit(chat, 39, count) == ([system, last], 4, 0)
    assert fit(chat, 13, count) == ([system, {"role": "user", "content": "789"}], 4, 7)


def test_an_answer_that_stands_first_goes_alone():
    chat = [{"role": role, "content": "x"} for role in ("assistant", "user", "assistant", "user")]
    assert fit(chat, 3, len) == (chat[1:], 1, 0)


def test_a_system_message_that_fills_the_limit_is_refused(tokens):
    chat = [{"role": "system", "content": "Be brief. " * 50}, {"role": "user", "content": "Why?"}]
    with pytest.raises(TooLong, match=r"^the system message and the chat's headers alone take more than 64 tokens$"):
        fit(chat, 64, tokens.count)


def test_a_text_of_100_kilobytes_is_measured_in_pieces_near_the_limit(tokens):
    measured = []

    def count(messages):
        measured.append(sum(len(message["content"]) for message in messages))
        return tokens.count(messages)

    text = "How are you today? " * 5400 + "Why is the sky blue?"
    fitted = fit([{"role": "user", "content": text}], 128, count)
    assert fitted.messages[0]["content"].endswith("today? Why is the sky blue?")
    assert 120 <= tokens.count(fitted.messages) <= 128
    assert sum(measured) < 1.2 * len(text)
