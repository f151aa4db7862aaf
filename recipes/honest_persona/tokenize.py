"""From a reviewed chat to tokens, and which of them the persona learns.

    hp   chat, open            + SP + intervention            | review, flag, end of the assistant's turn
    up   chat, user's prefix   + SP + intervention            | review, flag, end of the user's turn
    ur   chat, user's prefix   + intervention + user's end + assistant's prefix + SP
                                                              | review, flag, end of the assistant's turn

`open` is the chat without the end of its last turn. Intervention, review and flag are tokenised each for itself. What
is left of the bar is the prompt, in training and evaluation token for token the same; right of it, review, flag and
the first token of the end are learnt.
"""

import string
from typing import Any, NamedTuple

from recipes.common.stage.command import Mistake
from recipes.honest_persona.chat_template import ROLES, Message, render, turns_of
from recipes.honest_persona.form import Form

ANCHOR = "\n"
"""Tokenised before a text by tokenizers that else begin every text with a space."""

PROBES = string.ascii_letters + string.digits + string.punctuation
"""What contents may end with, and tokens begin with."""


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
        """A Mistake when the model's template cannot support the form."""
        self.tokenizer, self.form = tokenizer, form
        self.turns = turns_of(tokenizer)
        self.turns.check(form.elicitation_type)
        self._anchor: list[int] = []
        if self.decode(self._plain("a") + self._plain("b")) != "ab":
            self._anchor = self._plain(ANCHOR)
        self._check_cuts()

    def chat_open(self, messages: list[Message]) -> list[int]:
        """A chat whose last turn is the assistant's and can be written on."""
        text = render(self.tokenizer, messages)
        if not text.endswith(self.turns.assistant_end):
            raise Mistake(
                "the model's chat template ends this chat otherwise than others",
                f"leave out the chat that ends with `{text[-40:]}`",
            )
        return self._plain(text.removesuffix(self.turns.assistant_end))

    def chat_closed(self, messages: list[Message]) -> list[int]:
        """A chat whose turns have all ended; the tokens of `apply_chat_template`."""
        return self.chat_open(messages) + self.assistant_end

    def apply_intervention(self, messages: list[Message], intervention: str) -> Prompt:
        """What the persona's review of the chat is generated from."""
        called = [] if self.form.sp_token is None else [self.form.sp_token]
        asked = self.text(self.form.intervention_prefix + intervention)
        if self.form.elicitation_type == "hp":
            chat, said = self.chat_open(messages), called + asked
        else:
            chat, said = self.chat_closed(messages) + self.user_prefix, called + asked
            if self.form.elicitation_type == "ur":
                said = asked + self.user_end + self.assistant_prefix + called
        return Prompt(chat + said, len(chat))

    def sequence(self, messages: list[Message], intervention: str, review: str, flag: str) -> Sequence:
        """What the persona is trained on."""
        prompt = self.apply_intervention(messages, intervention)
        said = [token for text in self.form.review(review, flag) for token in self.text(text)]
        return Sequence(prompt.tokens + said + self.end, len(prompt.tokens), len(said) + 1, prompt.persona)

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

    @property
    def assistant_end(self) -> list[int]:
        return self.text(self.turns.assistant_end)

    @property
    def user_end(self) -> list[int]:
        return self.text(self.turns.user_end or "")

    @property
    def user_prefix(self) -> list[int]:
        return self.text(self.turns.user_prefix or "")

    @property
    def assistant_prefix(self) -> list[int]:
        return self.text(self.turns.assistant_prefix)

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _check_cuts(self) -> None:
        """A Mistake unless turns tokenised apart are the tokens of the whole, whatever they end with."""
        for last in PROBES:
            chat = [{"role": "user", "content": "one"}, {"role": "assistant", "content": f"tw{last}"}]
            if self.chat_closed(chat) != self._plain(render(self.tokenizer, chat)):
                raise Mistake(
                    f"the end of an assistant's turn, `{self.turns.assistant_end!r}`, becomes other tokens after a "
                    "text than alone, so the persona's turn cannot be cut there",
                    "take a model whose turns end with a special token",
                )
