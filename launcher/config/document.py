"""A YAML file that people write, as a checked model: unknown keys, doubled keys and wrong types are sentences."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from launcher.config.plain import LONGEST, parse
from launcher.errors import LaunchError, did_you_mean


class Strict(BaseModel):
    """A part of a document; a key that is not a field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Kind = TypeVar("Kind", bound=Strict)


def read(path: Path, kind: type[Kind]) -> Kind:
    """The file as a `kind`. Raises LaunchError when it is absent, no YAML, or not what `kind` allows."""
    return check(load(path), kind, str(path))


def load(path: Path) -> Any:
    """The file's plain value. Raises LaunchError when it is absent or no YAML."""
    try:
        with open(path, "rb") as file:
            text = file.read(4 * LONGEST + 1)  # the most bytes that so many characters take, and one
        return parse(text.decode())
    except FileNotFoundError:
        raise LaunchError(f"`{path}` does not exist", "check the name and the folder you are in") from None
    except UnicodeDecodeError as problem:
        raise LaunchError(f"`{path}` is not UTF-8 (byte {problem.start})", "save it as UTF-8") from None
    except OSError as problem:
        raise LaunchError(f"`{path}` cannot be read: {problem.strerror}", "check who may read it") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = getattr(problem, "problem", None) or str(problem).partition("\n")[0]
        raise LaunchError(f"`{path}`{where}: {what}", "correct the YAML there") from None


def check(value: Any, kind: type[Kind], where: str) -> Kind:
    """`value` as a `kind`; its first fault as a LaunchError that names `where` and the key."""
    if not isinstance(value, dict):
        raise LaunchError(f"`{where}` holds {_shown(value)}, not keys and values", "see docs/reference")
    try:
        return kind.model_validate(value)
    except ValidationError as problem:
        raise _sentence(problem.errors()[0], kind, where) from None


def _sentence(fault: ErrorDetails, kind: type[BaseModel], where: str) -> LaunchError:
    place, key = fault["loc"], ".".join(str(one) for one in fault["loc"])
    if fault["type"] == "extra_forbidden":
        parent = ".".join(str(one) for one in place[:-1])
        inside = f" under `{parent}`" if parent else ""
        hint = did_you_mean(str(place[-1]), _fields(kind, place[:-1]))
        return LaunchError(f"`{where}`: unknown key `{place[-1]}`{inside}", hint)
    if fault["type"] == "missing":
        return LaunchError(f"`{where}`: the key `{key}` is missing", f"add `{place[-1]}:`")
    message = fault["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return LaunchError(f"`{where}`: `{key}` is {_shown(fault['input'])}: {message}", f"correct `{key}`")


def _fields(kind: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys allowed at a place inside a model."""
    current: Any = kind
    for step in place:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[str(step)].annotation if str(step) in current.model_fields else None
        else:
            inner = [one for one in getattr(current, "__args__", ()) if one not in (str, type(None))]
            current = inner[-1] if inner else None
        while current is not None and not isinstance(current, type) and type(None) in getattr(current, "__args__", ()):
            current = next(one for one in current.__args__ if one is not type(None))
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"
