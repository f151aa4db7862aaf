"""From a reviewed chat to tokens, and which of them the persona learns; and the one token that calls it, an id that no
text is ever written with.

    hp   chat, open            + SP + intervention            | review, flag, end of the assistant's turn
    up   chat, user's prefix   + SP + intervention            | review, flag, end of the user's turn
    ur   chat, user's prefix   + intervention + user's end + assistant's prefix + SP
                                                              | review, flag, end of the assistant's turn

`open` is the chat without the end of its last turn. Intervention, review and flag are tokenised each for itself. What
is left of the bar is the prompt, in training and evaluation token for token the same; right of it, review, flag and
the first token of the end are learnt.
"""

import re
import string
from typing import Any, NamedTuple

from recipes.common.stage.command import Mistake
from recipes.honest_persona.chat_template import ROLES, Message, render, turns_of
from recipes.honest_persona.form import Form

ANCHOR = "\n"
"""Tokenised before a text by tokenizers that else begin every text with a space."""

PROBES = string.ascii_letters + string.digits + string.punctuation
"""What contents may end with, and tokens begin with."""


RESERVED = re.compile(r"<\|reserved_special_token_\d+\|>|<unused\d+>|\[unused\d+\]|<\|extra_\d+\|>|<SPECIAL_\d+>")
"""Tokens that a vocabulary keeps free: Llama 3 (the first is 128002), Gemma 3 (6), BERT, Qwen 1, Mistral."""

NEVER = ("<0xFF>", "ÿ")
"""The byte 255, which UTF-8 never has, as sentencepiece and as byte-level BPE write it."""


class Prompt(NamedTuple):
    """Everything before the persona's first own word."""

    tokens: list[int]
    persona: int
    """Where the persona's part begins: the reserved token or the intervention, whichever comes first."""


class Sequence(NamedTuple):
    """A whole review."""

    tokens: list[int]
    prompt: int
    """Tokens of the prompt, and so the place of the first token that is learnt."""
    learnt: int
    """How many are learnt from there: review, flag and the first token of the end."""
    persona: int

    @property
    def loss_mask(self) -> list[int]:
        """1 where the prediction of the NEXT token is learnt."""
        before = self.prompt - 1
        return [0] * before + [1] * self.learnt + [0] * (len(self.tokens) - before - self.learnt)

    @property
    def lora_mask(self) -> list[int]:
        """1 where the adapter acts, in training and generation, when it does not act everywhere."""
        return [0] * self.persona + [1] * (len(self.tokens) - self.persona)


class Coder:
    """A model's tokenizer, and how the persona is called with it."""

    def __init__(self, tokenizer: Any, form: Form):
        """Raises Mistake if the model's template cannot support the form."""
        self.tokenizer, self.form = tokenizer, form
        self.turns = turns_of(tokenizer)
        self.turns.check(form.elicitation_type)
        self._anchor: list[int] = []
        if self.decode(self._plain("a") + self._plain("b")) != "ab":
            self._anchor = self._plain(ANCHOR)
        self.assistant_end, self.user_end = self.text(self.turns.assistant_end), self.text(self.turns.user_end or "")
        self.user_prefix = self.text(self.turns.user_prefix or "")
        self.assistant_prefix = self.text(self.turns.assistant_prefix)
        self._check_cuts()

    def chat_open(self, messages: list[Message]) -> list[int]:
        """A chat whose last turn is the assistant's and can be written on."""
        text = render(self.tokenizer, messages)
        if not text.endswith(self.turns.assistant_end):
            raise Mistake(
                "the model's chat template does not end this chat as it ends others",
                f"leave out the chat that ends with `{text[-40:]}`",
            )
        return self._plain(text.removesuffix(self.turns.assistant_end))

    def chat_closed(self, messages: list[Message]) -> list[int]:
        """A chat whose turns have all ended; the tokens of `apply_chat_template`."""
        return self.chat_open(messages) + self.assistant_end

    def apply_intervention(self, messages: list[Message], intervention: str) -> Prompt:
        """What the persona's review of the chat is generated from."""
        called = [] if self.form.sp_token is None else [self.form.sp_token]
        question = self.text(self.form.intervention_prefix + intervention)
        if self.form.elicitation_type == "hp":
            chat, persona = self.chat_open(messages), called + question
        else:
            chat, persona = self.chat_closed(messages) + self.user_prefix, called + question
            if self.form.elicitation_type == "ur":
                persona = question + self.user_end + self.assistant_prefix + called
        return Prompt(chat + persona, len(chat))

    def sequence(self, messages: list[Message], intervention: str, review: str, flag: str) -> Sequence:
        """A whole review, for training."""
        prompt = self.apply_intervention(messages, intervention)
        answer = [token for text in self.form.review(review, flag) for token in self.text(text)]
        return Sequence(prompt.tokens + answer + self.end, len(prompt.tokens), len(answer) + 1, prompt.persona)

    def text(self, text: str) -> list[int]:
        """A text in the middle of a chat."""
        if not self._anchor:
            return self._plain(text)
        return self._plain(ANCHOR + text)[len(self._anchor) :]

    def decode(self, tokens: list[int]) -> str:
        """Their text, special tokens included."""
        return self.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    @property
    def end(self) -> list[int]:
        """What ends the persona's turn; generation stops at its first token."""
        return self.assistant_end if ROLES[self.form.elicitation_type] == "assistant" else self.user_end

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _check_cuts(self) -> None:
        """Raises Mistake if turns that are tokenised separately do not give the tokens of the whole chat."""
        for last in PROBES:
            chat = [{"role": "user", "content": "one"}, {"role": "assistant", "content": f"tw{last}"}]
            if self.chat_closed(chat) != self._plain(render(self.tokenizer, chat)):
                raise Mistake(
                    f"the end of an assistant's turn, `{self.turns.assistant_end!r}`, gives other tokens after a "
                    "text than alone, so the persona's turn cannot begin there",
                    "use a model whose turns end with a special token",
                )


def sp_token(tokenizer: Any, required: int | None, embeddings: int) -> int:
    """`required`, or the first unused token of the vocabulary. Raises Mistake if the model has no such token.

    `embeddings`: how many tokens the model has a vector for.
    """
    if required is not None:
        if not 0 <= required < embeddings:
            raise Mistake(f"`sp_token` is `{required}`, and the model has {embeddings:,} tokens", "name one of them")
        if required in tokenizer.all_special_ids:
            name = tokenizer.convert_ids_to_tokens(required)
            raise Mistake(f"`sp_token` is `{required}`, which is `{name}`", "give the id of an unused token")
        return required
    vocabulary = tokenizer.get_vocab()
    free = sorted(number for token, number in vocabulary.items() if RESERVED.fullmatch(token))
    read = {token: tokenizer(token, add_special_tokens=False)["input_ids"] for token in NEVER if token in vocabulary}
    bytes_ = [vocabulary[token] for token, ids in read.items() if vocabulary[token] not in ids]
    for number in (*free, *bytes_):
        if number < embeddings:
            return number
    raise Mistake(
        "the model's vocabulary has no unused token", "set `sp_token` to the id of a token that your texts never have"
    )


def special_texts(tokenizer: Any) -> re.Pattern[str]:
    """Matches the texts that the tokenizer reads as special tokens: a content must not have one."""
    texts = {token.content for token in tokenizer.added_tokens_decoder.values() if token.content.strip()}
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or r"(?!)")
