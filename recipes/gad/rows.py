"""One row of chat with the teacher's answer, and the rules it has to keep. People have it in two shapes:

    {"content": [{"role": "user", "content": "..."}], "teacher_response": "..."}
    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}

The second is OpenAI's; there the last message is the teacher's.
"""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from recipes.common.data import rows
from recipes.common.data.rows import BadRow, require_text
from recipes.common.data.tokens import Message

ROLES = ("system", "user", "assistant")


class Row(NamedTuple):
    """A row that keeps the rules."""

    location: str
    position: int
    prompt: list[Message]
    """One system message or none, then user and assistant in turn, the user last. The first may be the assistant."""
    teacher: str


def read(path: Path, picks: Collection[int] | None = None) -> Iterator[Row | str]:
    """The file's rows in order, or where and what is wrong with them; all have the shape of the first. Other columns
    are left out."""
    shape = None
    for location, position, value in rows.read(path, ("content", "teacher_response", "messages"), picks):
        try:
            if isinstance(value, BadRow):
                raise value
            shape = shape or ("messages" if "messages" in value and "content" not in value else "content")
            prompt, teacher = _from_messages(value) if shape == "messages" else _from_content(value)
            yield Row(location, position, prompt, teacher)
        except BadRow as bad:
            yield bad.at(location)


def _from_content(value: dict[str, Any]) -> tuple[list[Message], str]:
    prompt = _messages("content", _column("content", "messages", value))
    teacher = require_text("teacher_response", _column("teacher_response", "messages", value))
    if prompt[-1]["role"] != "user":
        raise BadRow("content", f"ends with `{prompt[-1]['role']}`, not `user`")
    return prompt, teacher


def _from_messages(value: dict[str, Any]) -> tuple[list[Message], str]:
    *prompt, teacher = _messages("messages", _column("messages", "content", value))
    if teacher["role"] != "assistant":
        raise BadRow("messages", f"ends with `{teacher['role']}`, not `assistant`")
    if not prompt or prompt[-1]["role"] != "user":
        raise BadRow("messages", "has no `user` message before the answer")
    return prompt, teacher["content"]


def _column(name: str, other: str, value: dict[str, Any]) -> Any:
    if name in value:
        return value[name]
    if other in value:
        raise BadRow("", f"has `{other}`, but the first row has `{name}`: one shape a file")
    raise BadRow("", f"no column `{name}`")


def _messages(column: str, value: Any) -> list[Message]:
    if not isinstance(value, list):
        raise BadRow(column, f"`{_shown(value)}` is not a list of messages")
    if not value:
        raise BadRow(column, "is an empty list")
    messages: list[Message] = []
    for index, message in enumerate(value):
        name = f"{column}[{index}]"
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise BadRow(name, f"`{_shown(message)}` has no `role` and `content`")
        role = message["role"]
        if role not in ROLES:
            raise BadRow(f"{name}.role", f"`{_shown(role)}` is none of `system`, `user`, `assistant`")
        if role == "system" and index:
            raise BadRow(f"{name}.role", "`system` may only come first")
        if messages and messages[-1]["role"] == role:
            raise BadRow(f"{name}.role", f"`{role}` follows `{role}`")
        messages.append({"role": role, "content": require_text(f"{name}.content", message["content"])})
    return messages


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value.strip() else json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 40 else text[:37] + "..."
