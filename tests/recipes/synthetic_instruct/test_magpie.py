"""What an instruction is drawn after: from the template alone, with one BOS, and what Magpie's authors used."""

import pytest

from recipes.synthetic_instruct.magpie import KNOWN, ends, first_token_bans, prequery

from .templates import MISTRAL, tokenizer

QWEN_SYSTEM = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"


@pytest.mark.parametrize(
    ("family", "known", "text"),
    [
        ("Llama-3", "Llama-3", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"),
        # whose template writes a system message with dates, which Magpie leaves out
        ("Llama-3.1", "Llama-3", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"),
        ("Qwen2.5", "Qwen2.5", f"{QWEN_SYSTEM}<|im_start|>user\n"),
        ("Qwen2", "Qwen2", "<|im_start|>user\n"),
        # Magpie has a space between the two, which the template has not
        ("Mistral", None, "<s>[INST] "),
    ],
)
def test_it_comes_from_the_template_and_is_what_the_authors_used(family, known, text):
    made = tokenizer(family)
    found = prequery(made)
    assert (found.text, found.known) == (text, known)
    assert made.decode(found.ids) == text and (known is None or KNOWN[known] == text)


@pytest.mark.parametrize("family", ["Llama-3", "Llama-3.1", "Mistral"])
def test_there_is_one_bos_although_the_tokenizer_adds_one(family):
    made = tokenizer(family)
    assert made.encode("a")[0] == made.bos_token_id
    assert prequery(made).ids.count(made.bos_token_id) == 1


@pytest.mark.parametrize(
    ("family", "stops"),
    [
        ("Llama-3", ["<|eot_id|>", "<|start_header_id|>"]),
        ("Qwen2.5", ["<|im_end|>", "<|im_start|>"]),
        ("Mistral", ["</s>", "[INST]"]),
    ],
)
def test_a_turn_is_over_at_its_end_and_where_another_begins(family, stops):
    made = tokenizer(family)
    assert made.convert_ids_to_tokens(list(ends(made))) == stops
    assert prequery(made).stop == ends(made)


def test_headlines_are_banned_and_nothing_else():
    made = tokenizer("Qwen2")
    banned = first_token_bans(made, ["#"])
    texts = {made.decode([token]).strip() for token in banned}
    assert texts >= {"#"} and texts <= {"#" * size for size in range(1, 9)}
    assert all(set(made.decode([token]).strip()) != {"#"} for token in range(len(made)) if token not in banned)
    assert first_token_bans(made, []) == ()


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (None, "the generator's tokenizer has no chat template\n\nhint: name an Instruct model as the generator"),
        (
            "{{ 'hello' }}",
            "the generator's chat template does not repeat the user's words\n\nhint: use another generator",
        ),
    ],
)
def test_a_template_that_does_not_do_is_a_sentence(refusal, template, says):
    made = tokenizer("Qwen2")
    made.chat_template = template
    assert refusal(prequery, made) == f"error: {says}"


def test_two_bos_are_refused(refusal):
    made = tokenizer("Mistral")
    made.chat_template = "{{ bos_token }}" + MISTRAL
    assert refusal(prequery, made) == (
        "error: the pre-query prefix begins with two BOS tokens\n\n"
        "hint: the chat template writes one already: do not add another"
    )
