"""A YAML file that people write, as a checked model: unknown keys, doubled keys and wrong types are sentences."""

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from launcher.errors import LaunchError, did_you_mean

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Strict(BaseModel):
    """A part of a document; a key that is not a field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Kind = TypeVar("Kind", bound=Strict)


TAG = "tag:yaml.org,2002:"
PLAIN = {f"{TAG}{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "merge")}
"""What JSON can hold too; a date is a text here."""


class Plain(Loader):  # type: ignore[misc, valid-type]
    """YAML 1.1 as PyYAML reads it, but a key given twice is an error, so is one that is no text (`on` is true), and
    `1e-6` is a number, as in YAML 1.2."""

    def construct_document(self, node: Any) -> Any:
        _check_plain(node, set())
        return super().construct_document(node)


Plain.add_implicit_resolver(
    f"{TAG}float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != f"{TAG}timestamp"]
    for first, pairs in Plain.yaml_implicit_resolvers.items()
}


def read(path: Path, kind: type[Kind]) -> Kind:
    """The file as a `kind`. Raises LaunchError when it is absent, no YAML, or not what `kind` allows."""
    return check(load(path), kind, str(path))


def load(path: Path) -> Any:
    """The file's plain value. Raises LaunchError when it is absent or no YAML."""
    try:
        return parse(path.read_text(encoding="utf-8"))
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


def parse(text: str) -> Any:
    """A YAML text as plain values. Raises yaml.YAMLError."""
    return yaml.load(text, Plain)


def check(value: Any, kind: type[Kind], where: str) -> Kind:
    """`value` as a `kind`; its first fault as a LaunchError that names `where` and the key."""
    if not isinstance(value, dict):
        raise LaunchError(f"`{where}` holds {_shown(value)}, not keys and values", "see docs/reference")
    try:
        return kind.model_validate(value)
    except ValidationError as problem:
        raise _sentence(problem.errors()[0], kind, where) from None


def _check_plain(node: Any, seen: set[int]) -> None:
    """Raises ConstructorError for what only YAML can say; here, because merging (`<<`) doubles keys later."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if node.tag not in PLAIN:
        raise _refused(f"`{node.tag.removeprefix(TAG)}` is no kind of value here", node)
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _check_plain(one, seen)
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if key.tag not in (f"{TAG}str", f"{TAG}merge"):
                shown = key.value if isinstance(key, yaml.ScalarNode) else key.tag.removeprefix(TAG)
                raise _refused(f"the key `{shown}` is no text: quote it", key)
            if key.value in names and key.tag != f"{TAG}merge":
                raise _refused(f"the key `{key.value}` is given twice", key)
            names.add(key.value)
            _check_plain(value, seen)


def _refused(problem: str, node: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark)


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
