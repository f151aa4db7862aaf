"""A base model learns to be talked to: templates, ends, padding; what is trained on is the assistant's part alone."""

import json

import pytest
from transformers import AutoTokenizer

from recipes.synthetic_instruct.chat import ENDS, MARKS, one_bos, open_chat, save_chat

from .templates import tokenizer

FAMILY = {"chatml": ("Qwen2", "<|endoftext|>"), "llama3": ("Llama-3", "<|end_of_text|>"), "mistral": ("Mistral", None)}
"""Template -> a family, and what its base ends texts with."""
CHAT = [{"role": "user", "content": "a few words"}, {"role": "assistant", "content": "of text"}]


@pytest.fixture(params=FAMILY)
def chat(request, tmp_path):
    family, eos = FAMILY[request.param]
    tokenizer(family, tmp_path, eos)
    return open_chat(tmp_path, request.param), request.param


def ids(tokenizer, chat, **words):
    return tokenizer.apply_chat_template(chat, return_dict=False, **words)


def test_a_chat_has_one_bos_or_none(chat):
    made, name = chat
    bos = made.tokenizer.bos_token_id
    assert ids(made.tokenizer, CHAT).count(bos) == (name != "chatml")


def test_the_assistant_s_words_and_the_end_of_its_turn_are_marked(chat):
    made, name = chat
    found = made.tokenizer.apply_chat_template(CHAT, return_dict=True, return_assistant_tokens_mask=True)
    marked = [token for token, mine in zip(found["input_ids"], found["assistant_masks"], strict=True) if mine]
    assert made.tokenizer.decode(marked).strip() == f"of text{ENDS[name]}"


def test_an_answer_goes_on_where_the_question_ends(chat):
    made, _ = chat
    asked = ids(made.tokenizer, CHAT[:1], add_generation_prompt=True)
    assert ids(made.tokenizer, CHAT)[: len(asked)] == asked


def test_padding_is_no_end(chat):
    made, name = chat
    assert made.tokenizer.pad_token_id not in (None, made.end)
    assert made.tokenizer.decode([made.end]) == ENDS[name]


def test_what_is_saved_ends_its_turns_and_has_no_marks(chat, tmp_path):
    made, _ = chat
    out = tmp_path / "out"
    out.mkdir()
    save_chat(made, out)
    again = AutoTokenizer.from_pretrained(out)
    assert not MARKS.search(again.chat_template) and MARKS.search(made.tokenizer.chat_template)
    assert ids(again, CHAT) == ids(made.tokenizer, CHAT)
    settings = json.loads((out / "generation_config.json").read_text())
    assert settings["eos_token_id"][0] == made.end == again.eos_token_id


def test_a_template_of_another_family_is_refused(tmp_path, refusal):
    tokenizer("Qwen2", tmp_path)
    assert refusal(open_chat, tmp_path, "llama3").splitlines()[-1] == (
        "hint: use the template of its model family, one of `chatml`, `llama3`, `mistral`"
    )
    assert refusal(open_chat, tmp_path, "mistral").startswith(
        "error: `template` is `mistral`, and the base's vocabulary has no `</s>`"
    )


@pytest.mark.parametrize(("given", "good"), [([1, 5], True), ([], True), ([5, 1, 1], True), ([1, 1, 5], False)])
def test_two_bos_are_never_taken(refusal, given, good):
    if good:
        assert one_bos(given, 1, "the chat") == given and one_bos([1, 1], None, "the chat") == [1, 1]
    else:
        assert refusal(one_bos, given, 1, "the chat").startswith("error: the chat begins with two BOS tokens")
