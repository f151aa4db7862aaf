"""What a model's own chat template writes around the contents of a chat, found by rendering sentinels."""

import re
from dataclasses import dataclass
from typing import Any

from recipes.common.data.tokens import Message
from recipes.common.stage.command import Mistake

FIXED = {"date_string": "26 Jul 2024"}
"""Llama 3's templates write a date, by default today's: the same data must give the same tokens tomorrow. This one is
theirs."""

ROLES = {"hp": "assistant", "up": "user", "ur": "assistant"}
"""Elicitation type -> in whose turn the persona writes its review."""

_SENTINELS = {"system": "Qsystemzz", "user": "Quserzz", "assistant": "Qassistantzz"}


@dataclass(frozen=True)
class Turns:
    """The text of a template between one content and the next. None where the template has no such place."""

    assistant_end: str
    """After an assistant's content: the end of its turn, and nothing that belongs to the next one."""
    assistant_prefix: str
    """Between a user's end and the assistant's content."""
    user_prefix: str | None
    """Between an assistant's end and the next user's content."""
    user_end: str | None
    system: bool
    """Whether the template writes a system message, wherever it puts it."""

    def check(self, elicitation: str) -> None:
        """Raises Mistake if the persona cannot speak in this way."""
        if not self.assistant_end:
            raise Mistake(
                "the model's chat template does not end an assistant's turn, so the persona could not learn to stop",
                "use a model whose template does",
            )
        if elicitation != "hp" and (self.user_prefix is None or self.user_end is None):
            raise Mistake(
                f"the model's chat template has no turn after the assistant's, which `elicitation_type: {elicitation}` "
                "needs",
                "set `elicitation_type` to `hp`, or use a model whose template has one",
            )
        if elicitation == "up" and not self.user_end:
            raise Mistake(
                "the model's chat template does not end a user's turn, where `elicitation_type: up` lets the persona "
                "write",
                "set `elicitation_type` to `hp` or `ur`",
            )


def turns_of(tokenizer: Any) -> Turns:
    """The parts of the tokenizer's template. Raises Mistake if it cannot show a user's and an assistant's turn."""
    parts = _cut(tokenizer, ["user", "assistant"])
    if parts is None:
        raise Mistake(
            "the model's chat template does not show a user's and an assistant's message as they are",
            "use a model with another template",
        )
    end = parts[2]
    alone, longer = _cut(tokenizer, ["user"]), _cut(tokenizer, ["user", "assistant", "user", "assistant"])
    user_end = alone[1] if alone else None
    user_prefix, between = None, parts[1]
    if longer:
        between = longer[1]
        user_prefix = longer[2].removeprefix(end) if longer[2].startswith(end) else None
    if user_end is not None and between.startswith(user_end):
        between = between.removeprefix(user_end)
    else:
        user_end = None
    return Turns(end, between, user_prefix, user_end, _cut(tokenizer, ["system", "user", "assistant"]) is not None)


def render(tokenizer: Any, messages: list[Message]) -> str:
    """The chat's text by the tokenizer's template, without a header for an answer. Raises jinja2.TemplateError."""
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False, **FIXED)


def _cut(tokenizer: Any, roles: list[str]) -> list[str] | None:
    """The texts before, between and after the contents of such a chat; None when the template does not show each of
    them once and in this order (a system's wherever it is)."""
    from jinja2 import TemplateError

    contents = [f"{_SENTINELS[role]}{number}zz" for number, role in enumerate(roles)]
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
    try:
        text = render(tokenizer, messages)
    except TemplateError:
        return None
    parts = re.split("|".join(contents), text)
    if len(parts) != len(contents) + 1:
        return None
    shown_order = [
        content for content in re.findall("|".join(contents), text) if not content.startswith(_SENTINELS["system"])
    ]
    required_order = [content for content in contents if not content.startswith(_SENTINELS["system"])]
    return parts if shown_order == required_order else None
