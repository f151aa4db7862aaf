"""A YAML file that people write, as a checked model: unknown keys, doubled keys and wrong types are sentences. Whatever
could exhaust memory, time or the stack is refused before anything is built from it."""

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from launcher.errors import LaunchError, did_you_mean

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

LONGEST = 1 << 20
"""Characters of a text."""
DEEPEST = 64
"""Values inside values. libyaml's composer calls itself for each: some ten thousand end the process."""
MOST = 100_000
"""Values, each as often as an alias repeats it."""
DIGITS = 100
"""Characters of a number."""

TAG = "tag:yaml.org,2002:"
PLAIN = {f"{TAG}{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "merge")}
"""What JSON can hold too; a date is a text here."""
NUMBERS = {f"{TAG}int", f"{TAG}float"}


class Plain(Loader):  # type: ignore[misc, valid-type]
    """YAML 1.1 as PyYAML reads it, but a key given twice is an error, so is one that is no text (`on` is true), and
    `1e-6` is a number, as in YAML 1.2."""

    def construct_document(self, node: Any) -> Any:
        if _values(node, {}) > MOST:
            raise _refused(f"its aliases stand for more than {MOST:,} values", node)
        return super().construct_document(node)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError):  # `0x_`, `!!bool abc`
            raise _refused(f"`{str(node.value)[:40]}` is not a valid {node.tag.removeprefix(TAG)}", node) from None


Plain.add_implicit_resolver(
    f"{TAG}float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != f"{TAG}timestamp"]
    for first, pairs in Plain.yaml_implicit_resolvers.items()
}


def parse(text: str) -> Any:
    """A YAML text as plain values. Raises yaml.YAMLError."""
    if len(text) > LONGEST:
        raise yaml.YAMLError(f"it has {len(text):,} characters, more than the {LONGEST:,} that are read")
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise yaml.YAMLError(
            f"character {problem.start + 1} is half a surrogate pair, which is not valid text"
        ) from None
    depth = 0
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise _refused(f"there are more than {DEEPEST} values inside one another", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return yaml.load(text, Plain)


def _values(node: Any, known: dict[int, int]) -> int:
    """How many values the node stands for. Raises ConstructorError for what only YAML can say; here, because merging
    (`<<`) doubles keys later."""
    if id(node) in known:
        if known[id(node)] == 0:
            raise _refused("an alias stands for what it is inside of", node)
        return known[id(node)]
    known[id(node)] = 0  # not counted to its end
    if node.tag not in PLAIN:
        raise _refused(f"`{node.tag.removeprefix(TAG)}` is not allowed as a value here", node)
    if node.tag in NUMBERS and len(node.value) > DIGITS:
        raise _refused(f"a number has {len(node.value):,} characters", node)
    count = 1
    if isinstance(node, yaml.SequenceNode):
        count += sum(_values(child, known) for child in node.value)
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if key.tag not in (f"{TAG}str", f"{TAG}merge"):
                shown = key.value if isinstance(key, yaml.ScalarNode) else key.tag.removeprefix(TAG)
                raise _refused(f"the key `{shown}` is not text: put it in quotes", key)
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key is not text", key)
            if key.value in names and key.tag != f"{TAG}merge":
                raise _refused(f"the key `{key.value}` is given twice", key)
            names.add(key.value)
            count += _values(value, known)
    known[id(node)] = count
    return count


def _refused(problem: str, mark: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(problem=problem, problem_mark=mark.start_mark)


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
    path, key = fault["loc"], ".".join(str(step) for step in fault["loc"])
    if fault["type"] == "extra_forbidden":
        parent = ".".join(str(step) for step in path[:-1])
        inside = f" under `{parent}`" if parent else ""
        hint = did_you_mean(str(path[-1]), _fields(kind, path[:-1]))
        return LaunchError(f"`{where}`: unknown key `{path[-1]}`{inside}", hint)
    if fault["type"] == "missing":
        return LaunchError(f"`{where}`: the key `{key}` is missing", f"add `{path[-1]}:`")
    message = fault["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return LaunchError(f"`{where}`: `{key}` is {_shown(fault['input'])}: {message}", f"correct `{key}`")


def _fields(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys allowed at a place inside a model."""
    current: Any = kind
    for step in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[str(step)].annotation if str(step) in current.model_fields else None
        else:
            inner = [option for option in getattr(current, "__args__", ()) if option not in (str, type(None))]
            current = inner[-1] if inner else None
        while current is not None and not isinstance(current, type) and type(None) in getattr(current, "__args__", ()):
            current = next(option for option in current.__args__ if option is not type(None))
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"
