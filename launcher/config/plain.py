"""YAML as people write it by hand: plain values, no key twice, and no more of it than a person would write. What could
exhaust memory, time or the stack is refused before anything is built from it."""

import re
from typing import Any

import yaml

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
            raise _refused(f"`{str(node.value)[:40]}` is no {node.tag.removeprefix(TAG)}", node) from None


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
        raise yaml.YAMLError(f"character {problem.start + 1} is half a surrogate pair, which is no text") from None
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
        raise _refused(f"`{node.tag.removeprefix(TAG)}` is no kind of value here", node)
    if node.tag in NUMBERS and len(node.value) > DIGITS:
        raise _refused(f"a number has {len(node.value):,} characters", node)
    count = 1
    if isinstance(node, yaml.SequenceNode):
        count += sum(_values(one, known) for one in node.value)
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if key.tag not in (f"{TAG}str", f"{TAG}merge"):
                shown = key.value if isinstance(key, yaml.ScalarNode) else key.tag.removeprefix(TAG)
                raise _refused(f"the key `{shown}` is no text: quote it", key)
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key is no text", key)
            if key.value in names and key.tag != f"{TAG}merge":
                raise _refused(f"the key `{key.value}` is given twice", key)
            names.add(key.value)
            count += _values(value, known)
    known[id(node)] = count
    return count


def _refused(problem: str, place: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(problem=problem, problem_mark=place.start_mark)
