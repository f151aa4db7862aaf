"""What the persona is trained on is, letter for letter, the chat as the model's template writes it, and the review."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.honest_persona.chat_template import ROLES, turns_of
from recipes.honest_persona.form import FLAGS, Form
from recipes.honest_persona.tokenize import Coder, sp_token

from .shapes import SHAPES, byte_level

INTERVENTION, REVIEW, FLAG = " INTERVENTION: ", "\nREVIEW:", "\nFLAG: "
CASES = [(shape, mode) for shape in SHAPES for mode in ROLES]
NAMES = [f"{shape.name}-{mode}" for shape, mode in CASES]

letters = st.characters(
    whitelist_categories=("Lu", "Ll", "Nd", "Po", "Sc"), blacklist_characters="<[▁�", max_codepoint=0x9FFF
)
words = st.text(letters, min_size=1, max_size=12)
texts = st.lists(words, min_size=1, max_size=6).map(" ".join)
untrimmed = st.tuples(st.sampled_from(["", " ", "\n"]), texts, st.sampled_from(["", " ", "\n\n"])).map("".join)


@cache
def tokenizer_of(shape):
    return shape.tokenizer()


def coder_of(shape, mode, called=True, lora_mask=False):
    tokenizer = tokenizer_of(shape)
    reserved = sp_token(tokenizer, None, len(tokenizer)) if called else None
    return Coder(tokenizer, Form(mode, reserved, shape.tag, INTERVENTION, REVIEW, FLAG, lora_mask))


def chat_of(coder, system, task, answer):
    return coder.form.chat(system, task, answer, coder.turns.system)


def reading(coder, tokens, first=False):
    """The text of tokens in the middle of a chat (`first`: at its start), a bell for the reserved token."""
    parts, part = [], []
    for token in [*tokens, None]:
        if token is None or token == coder.form.sp_token:
            before = [] if first and not parts else coder.text("x")
            parts.append(coder.decode(before + part)[len(coder.decode(before)) :])
            part = []
        else:
            part.append(token)
    return "\a".join(parts)


def said(shape, mode, chat, intervention):
    """The whole prompt, written by hand."""
    asked = INTERVENTION + intervention
    if mode == "hp":
        return f"{chat}\a{asked}"
    if mode == "up":
        return f"{chat}{shape.assistant_end}{shape.user_prefix}\a{asked}"
    return f"{chat}{shape.assistant_end}{shape.user_prefix}{asked}{shape.user_end}{shape.assistant_prefix}\a"


@pytest.mark.parametrize(("shape", "mode"), CASES, ids=NAMES)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_tokens_say_the_expected_text_and_no_other(shape, mode, data):
    inside = texts if shape.trims else untrimmed
    system = data.draw(st.one_of(st.just(""), texts))
    task, answer = data.draw(inside), data.draw(inside)
    intervention, review, flag = data.draw(untrimmed), data.draw(untrimmed), data.draw(st.sampled_from(FLAGS))
    coder = coder_of(shape, mode)
    made = coder.sequence(chat_of(coder, system, task, answer), intervention, review, flag)
    end = shape.user_end if mode == "up" else shape.assistant_end
    prompt = said(shape, mode, shape.chat(system, task, answer), intervention)
    assert reading(coder, made.tokens[: made.prompt], first=True) == prompt
    assert reading(coder, made.tokens[made.prompt :]) == f"{REVIEW}{review}{FLAG}{flag}{end}"


@pytest.mark.parametrize(("shape", "mode"), CASES, ids=NAMES)
@settings(max_examples=10, deadline=None)
@given(task=texts, answer=texts, intervention=texts, review=texts, flag=st.sampled_from(FLAGS))
def test_exactly_review_flag_and_the_first_token_of_the_end_are_learnt(
    shape, mode, task, answer, intervention, review, flag
):
    coder = coder_of(shape, mode)
    made = coder.sequence(chat_of(coder, "", task, answer), intervention, review, flag)
    learnt = [made.tokens[place + 1] for place, weight in enumerate(made.loss_mask) if weight]
    assert learnt == [*coder.text(REVIEW + review), *coder.text(FLAG + flag), coder.end[0]]
    assert len(made.loss_mask) == len(made.lora_mask) == len(made.tokens)
    assert made.loss_mask == [0] * (made.prompt - 1) + [1] * (made.learnt) + [0] * len(coder.end)


@pytest.mark.parametrize("called", [True, False])
@pytest.mark.parametrize(("shape", "mode"), CASES, ids=NAMES)
def test_the_evaluation_s_prompt_is_the_training_s_up_to_the_first_learnt_token(shape, mode, called):
    coder = coder_of(shape, mode, called)
    chat = chat_of(coder, "Be kind.", "How long?", "Very long.")
    prompt, made = coder.apply_intervention(chat, "Was I right?"), coder.sequence(chat, "Was I right?", "No.", "FAIL")
    assert prompt.tokens == made.tokens[: made.prompt]
    assert made.loss_mask.index(1) + 1 == len(prompt.tokens)
    assert made.tokens.count(coder.form.sp_token) == called


@pytest.mark.parametrize(("shape", "mode"), CASES, ids=NAMES)
def test_the_adapter_s_mask_begins_with_the_call_or_the_intervention(shape, mode):
    for called in (True, False):
        coder = coder_of(shape, mode, called)
        made = coder.sequence(chat_of(coder, "", "How long?", "Very long."), "Was I right?", "No.", "FAIL")
        first = made.lora_mask.index(1)
        assert made.lora_mask == [0] * first + [1] * (len(made.tokens) - first)
        asked = coder.text(f"{INTERVENTION}Was I right?")
        call = [coder.form.sp_token] if called and mode != "ur" else []
        assert made.tokens[first : first + len(call) + len(asked)] == call + asked


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_closed_chat_is_what_the_tokenizer_itself_makes_of_it(shape):
    coder = coder_of(shape, "hp")
    chat = chat_of(coder, "", "How long?", "Very long.")
    made = coder.tokenizer.apply_chat_template(chat, date_string="26 Jul 2024", return_dict=False)
    assert coder.chat_closed(chat) == list(made)
    assert coder.chat_closed(chat) == coder.chat_open(chat) + coder.assistant_end


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_turns_are_those_of_the_family(shape):
    turns = turns_of(tokenizer_of(shape))
    known = (shape.assistant_end, shape.user_prefix, shape.user_end, shape.assistant_prefix)
    assert (turns.assistant_end, turns.user_prefix, turns.user_end, turns.assistant_prefix) == known
    assert turns.system == (not shape.tag)


def test_the_family_s_reserved_tokens_are_found():
    found = {shape.name: sp_token(tokenizer_of(shape), None, 1000) for shape in SHAPES}
    words = {shape.name: tokenizer_of(shape).convert_ids_to_tokens(found[shape.name]) for shape in SHAPES}
    assert words == {
        "qwen2": "ÿ",
        "qwen3": "ÿ",
        "llama3": "<|reserved_special_token_0|>",
        "gemma2": "<unused0>",
        "gemma3": "<unused0>",
        "mistral": "<0xFF>",
    }


ALONE = (
    "{% for m in messages %}{% if loop.index > 2 %}{{ raise_exception('two') }}{% endif %}"
    "<a>{{ m.content }}<b>{% endfor %}"
)
ENDLESS = "{% for m in messages %}<a>{{ m.content }}{% endfor %}"
MUTE = "{% for m in messages %}{% if m.role == 'user' %}<a>{{ m.content }}<b>{% endif %}{% endfor %}"
OPEN = "{% for m in messages %}<a>{{ m.content }}{% if m.role == 'assistant' %}<b>{% endif %}{% endfor %}"
WORDS = "{% for m in messages %}{{ m.role }}: {{ m.content }}eview\n{% endfor %}"


@pytest.mark.parametrize(
    ("template", "mode", "says"),
    [
        (
            ALONE,
            "up",
            "the model's chat template has no turn after the assistant's, which `elicitation_type: up` needs\n\n"
            "hint: set `elicitation_type` to `hp`, or use a model whose template has one",
        ),
        (
            ALONE,
            "ur",
            "the model's chat template has no turn after the assistant's, which `elicitation_type: ur` needs\n\n"
            "hint: set `elicitation_type` to `hp`, or use a model whose template has one",
        ),
        (
            ENDLESS,
            "hp",
            "the model's chat template does not end an assistant's turn, so the persona could not learn to stop\n\n"
            "hint: use a model whose template does",
        ),
        (
            OPEN,
            "up",
            "the model's chat template does not end a user's turn, where `elicitation_type: up` lets the persona "
            "write\n\nhint: set `elicitation_type` to `hp` or `ur`",
        ),
        (
            MUTE,
            "hp",
            "the model's chat template does not show a user's and an assistant's message as they are\n\n"
            "hint: use a model with another template",
        ),
        (
            WORDS,
            "hp",
            "the end of an assistant's turn, `'eview\\n'`, gives other tokens after a text than alone, so the "
            "persona's turn cannot begin there\n\nhint: use a model whose turns end with a special token",
        ),
    ],
)
def test_a_template_that_cannot_support_a_mode_is_refused(refusal, template, mode, says):
    tokenizer = byte_level(template, ["<p>", "<a>", "<b>"], "<b>")
    assert refusal(Coder, tokenizer, Form(mode, None, "", "", REVIEW, FLAG, False)) == f"error: {says}"


def test_hp_needs_no_second_turn():
    tokenizer = byte_level(ALONE, ["<p>", "<a>", "<b>"], "<b>")
    coder = Coder(tokenizer, Form("hp", None, "", "", REVIEW, FLAG, False))
    chat = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    assert coder.decode(coder.apply_intervention(chat, "three").tokens) == "<a>one<b><a>twothree"


def test_a_system_prompt_without_a_place_is_refused(refusal):
    form = Form("hp", None, "", "", REVIEW, FLAG, False)
    assert refusal(form.chat, "Be kind.", "How?", "So.", False) == (
        "error: the model's chat template has no system message, and the data has system prompts\n\n"
        "hint: set `system_tag` to a text such as `<SYSTEM>`, or `exclude_system_prompt` to true"
    )
    assert form.chat("", "How?", "So.", False) == form.chat("", "How?", "So.", True)


def test_a_system_tag_stands_on_both_sides():
    form = Form("hp", None, "<S>", "", REVIEW, FLAG, False)
    assert form.chat("Be kind.", "How?", "So.", True)[0] == {"role": "system", "content": "<S>Be kind.<S>"}
    assert form.chat("Be kind.", "How?", "So.", False)[0] == {"role": "user", "content": "<S>Be kind.<S>\nHow?"}


def test_an_empty_system_prompt_adds_no_turn():
    assert len(Form("hp", None, "<S>", "", REVIEW, FLAG, False).chat("", "How?", "So.", True)) == 2


def test_a_chat_that_ends_otherwise_is_refused(refusal):
    template = "{% for m in messages %}<a>{{ m.content }}{% if m.content != 'odd' %}<b>{% endif %}{% endfor %}"
    coder = Coder(byte_level(template, ["<p>", "<a>", "<b>"], "<b>"), Form("hp", None, "", "", REVIEW, FLAG, False))
    chat = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "odd"}]
    assert refusal(coder.chat_open, chat) == (
        "error: the model's chat template does not end this chat as it ends others\n\n"
        "hint: leave out the chat that ends with `<a>one<b><a>odd`"
    )
