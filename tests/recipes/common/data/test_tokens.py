"""Counting tokens piece by piece gives what the tokenizer itself counts."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers

from recipes.common.data import tokens
from recipes.common.data.tokens import PATTERNS, Pieces, divisible
from recipes.common.model import tiny

WORDS = [
    "Why",
    "is",
    "the",
    "sky",
    "blue?",
    "don't",
    "x=1;",
    "12345",
    "naïve",
    "e\u0301",
    "\u0301",
    "日本語",
    "🎉👩‍👩‍👧",
]
SPACES = [
    " ",
    "  ",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    "\n \n",
    "\u00a0",
    "\u2028",
    "\x1c",
    "\x85",
    "\u180e",
    "\u200b",
    "\ufeff",
]
OTHERS = [".", "…\n", "'S", "ſ", "<|im_end|>", "<|im_start|>user\n", "\x00", ""]
TEXTS = st.one_of(
    st.lists(st.sampled_from([*WORDS, *SPACES, *OTHERS]), max_size=60).map("".join),
    st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
)
BYTES = pre_tokenizers.ByteLevel(False, use_regex=False)


def made(pattern, behavior="isolated", level=BYTES):
    """A tokenizer that knows the words, with this pattern."""
    core = tiny.train_tokenizer([" ".join([*WORDS, "\n\n."])] * 3, 1024).backend_tokenizer
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior), level])
    return core


@pytest.fixture(scope="module", params=sorted(PATTERNS), ids=["llama", "qwen"])
def core(request):
    core = made(request.param)
    if len(request.param) == max(map(len, PATTERNS)):
        core.normalizer = None  # as Llama's
    return core


def plain(core):
    return lambda texts: [len(one) for one in core.encode_batch_fast(texts, add_special_tokens=False)]


@settings(max_examples=300, deadline=None)
@given(batches=st.lists(st.lists(TEXTS, max_size=5), max_size=4))
def test_every_text_has_as_many_tokens_as_its_pieces(core, batches):
    counted = Pieces(plain(core))
    for texts in batches:
        assert counted.lengths(texts) == plain(core)(texts)


def test_every_character_at_the_end_of_a_piece_and_at_its_start(core):
    """White space is the same to Python and to the tokenizer, as far as it matters."""
    plane = [chr(code) for code in range(0x30000) if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")]
    doubtful = [one for one in plane if not one.isalnum()]
    texts = [f"a{one} b{one}{one}\n{one}c {one} \n{one}" for one in [*doubtful, *plane[::100]]]
    assert len(texts) > 10_000
    assert Pieces(plain(core)).lengths(texts) == plain(core)(texts)


def test_a_word_that_comes_again_is_tokenized_alone_and_from_then_on_known(core):
    asked = []

    def count(texts):
        asked.append(texts)
        return plain(core)(texts)

    counted = Pieces(count)
    counted.lengths(["Why is the sky blue? The sky", "So the sky\nis  red."])
    assert [*asked[0][:2], *sorted(asked[0][2:])] == ["Why is the sky blue? The", "So sky\nis  red.", " sky", " the"]
    assert counted.known.keys() == {"sky", "the"}
    counted.lengths(["So the sky is red? "])
    assert asked[1] == ["So red? ", " is"]
    counted.lengths(["the sky is the sky"])
    assert asked[2] == ["the"]


def test_no_more_is_remembered_than_there_is_room_for(core, monkeypatch):
    monkeypatch.setattr(tokens, "MOST", 3)
    monkeypatch.setattr(tokens, "LONGEST", 6)
    counted = Pieces(plain(core))
    texts = ["a toolongtoberemembered b c d b c", "a d d e e f"]
    assert [counted.lengths(texts) for _ in range(4)] == [plain(core)(texts)] * 4
    assert len(counted.known) == 3 >= len(counted.once)
    assert "toolongtoberemembered" not in {*counted.known, *counted.once}


def changed(**fields):
    core = made(min(PATTERNS))
    for name, value in fields.items():
        setattr(core, name, value)
    return core


def with_token(**options):
    core = made(min(PATTERNS))
    core.add_tokens([AddedToken(options.pop("content", "<x>"), **options)])
    return core


def with_dropout():
    core = made(min(PATTERNS))
    core.model.dropout = 0.1
    return core


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda: made(r"\p{L}+| ?\S+"), id="another pattern"),
        pytest.param(lambda: made(min(PATTERNS), "removed"), id="what the pattern finds is left out"),
        pytest.param(lambda: made(min(PATTERNS), level=pre_tokenizers.ByteLevel(True, use_regex=False)), id="prefix"),
        pytest.param(lambda: made(min(PATTERNS), level=pre_tokenizers.ByteLevel(False)), id="two patterns"),
        pytest.param(lambda: made(min(PATTERNS), level=pre_tokenizers.Metaspace()), id="no bytes"),
        pytest.param(lambda: changed(pre_tokenizer=BYTES), id="no pattern"),
        pytest.param(lambda: changed(normalizer=normalizers.Strip()), id="another normalizer"),
        pytest.param(lambda: with_token(lstrip=True), id="a token that takes spaces before it"),
        pytest.param(lambda: with_token(rstrip=True), id="a token that takes spaces behind it"),
        pytest.param(lambda: with_token(single_word=True), id="a token between words"),
        pytest.param(lambda: with_token(content="a b"), id="a token of two words"),
        pytest.param(with_dropout, id="dropout"),
    ],
)
def test_other_tokenizers_are_not_divided(core, other):
    assert divisible(core)
    assert not divisible(other())
