"""A stage's settings: a JSON file that the plan wrote, read into a dataclass."""

import dataclasses
import difflib
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from recipes.common.stage.command import Mistake

Settings = TypeVar("Settings")
LONGEST = 200
"""Characters shown of a value."""
SHARES = {
    "(0, 1)": (False, False, "between 0 and 1"),
    "(0, 1]": (False, True, "above 0 and at most 1"),
    "[0, 1)": (True, False, "from 0 to below 1"),
    "[0, 1]": (True, True, "from 0 to 1"),
}
"""Interval -> whether 0 and 1 are in it, and its name in an error."""


def read_settings(path: Path, kind: type[Settings]) -> Settings:
    """The file as a `kind`; a Mistake when a key is missing or unknown, or a value has another type.

    `kind` is a dataclass of JSON's types (a list is plain `list`); its `__post_init__` may raise ValueError.
    """
    values = read_value(path, "the first argument is the stage's JSON settings")
    try:
        return as_kind(values, kind)
    except Mistake as problem:
        raise Mistake(f"`{path}`: {problem.error}", problem.hint) from None


def as_kind(values: object, kind: type[Settings]) -> Settings:
    """As `read_settings`, but for the value of a file."""
    if not isinstance(values, dict):
        raise Mistake("not a JSON object", "write one JSON object")
    _check_keys(values, kind)
    _check_types(values, kind)
    try:
        return kind(**values)
    except ValueError as problem:
        raise Mistake(str(problem), "change that value") from None


def read_value(path: Path, hint: str) -> Any:
    """The value of the JSON file. A Mistake when there is no file, or it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Mistake(f"`{path}`: no such file", hint) from None
    except (ValueError, RecursionError) as problem:
        raise Mistake(f"`{path}`: not JSON: {problem}", "write one JSON object") from None


def check_choice(settings: object, name: str, choices: tuple[str, ...]) -> None:
    """For a `__post_init__`: raises ValueError when the value is none of the choices."""
    value = getattr(settings, name)
    if value not in choices:
        raise ValueError(f"`{name}` is `{value}`, not one of `{'`, `'.join(choices)}`")


def check_least(settings: object, least: float, *names: str) -> None:
    """For a `__post_init__`: raises ValueError when one of the values is less than `least`. None is accepted."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and value < least:
            raise ValueError(f"`{name}` is `{value}`, less than {least:g}")


def check_above(settings: object, least: float, *names: str) -> None:
    """For a `__post_init__`: raises ValueError when one of the values is not above `least`. None is accepted."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value > least:
            raise ValueError(f"`{name}` is `{value}`, not above {least:g}")


def check_share(settings: object, interval: str, *names: str) -> None:
    """For a `__post_init__`: raises ValueError when one of the values is not in the `interval`, a key of SHARES."""
    zero, one, text = SHARES[interval]
    for name in names:
        value = getattr(settings, name)
        if not (0 < value < 1 or (zero and value == 0) or (one and value == 1)):
            raise ValueError(f"`{name}` is `{value}`, not {text}")


def _check_keys(values: Mapping[str, object], kind: type) -> None:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"the keys are `{'`, `'.join(fields)}`"
            raise Mistake(f"unknown key `{_cut(key)}`", hint)
    for key, field in fields.items():
        if key not in values and field.default is dataclasses.MISSING:
            raise Mistake(f"no key `{key}`", f"write `{key}` with a value of type {_type_names(kind)[key]}")


def _check_types(values: Mapping[str, object], kind: type) -> None:
    hints = typing.get_type_hints(kind)
    for key, value in values.items():
        allowed = typing.get_args(hints[key]) or (hints[key],)
        # JSON's 1 is a fine float, its true is no number.
        fits = type(value) in allowed or (float in allowed and type(value) is int)
        if not fits:
            shown = _cut(json.dumps(value, ensure_ascii=False))
            raise Mistake(f"`{key}` is `{shown}`", f"write a value of type {_type_names(kind)[key]}")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _type_names(kind: type) -> dict[str, str]:
    """Each key's type in JSON's words: `int | None` is "int or null"."""
    names = {
        type(None): "null",
        str: "string",
        bool: "true or false",
        int: "whole number",
        float: "number",
        list: "list",
    }
    hints = typing.get_type_hints(kind)
    return {key: " or ".join(names[part] for part in typing.get_args(hint) or (hint,)) for key, hint in hints.items()}
