"""What the source says of a class that a file is read into: its fields, their types in a file's words, defaults, and
the sentence below each."""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from page import Table, code, line

ROOT = Path(__file__).parents[2]
PLAIN = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "Path": "path",
    "Any": "anything",
    "ByteSize": "size, as `64GiB`",
    "Time": "time, as `2:00:00`",
    "Variable": "variable",
}
BOUNDS = {"gt": "above", "ge": "from", "lt": "below", "le": "up to"}


@dataclass(frozen=True)
class Field:
    """One key of a file."""

    name: str
    kind: str
    default: str
    says: str


@dataclass(frozen=True)
class Class:
    """A table of a file."""

    name: str
    says: str
    fields: Sequence[Field]

    @property
    def table(self) -> str:
        rows = [(code(one.name), one.kind, one.default, one.says) for one in self.fields]
        return Table(("key", "holds", "unless said", "")).of(rows)


def read(module: str, names: Iterable[str]) -> list[Class]:
    """The classes `names` of `launcher/<module>.py`, in the order of `names`, with the fields of those they extend."""
    tree = ast.parse((ROOT / "launcher" / f"{module}.py").read_text(encoding="utf-8"))
    classes = {one.name: one for one in tree.body if isinstance(one, ast.ClassDef)}
    aliases = {
        one.targets[0].id: one.value
        for one in tree.body
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
    }
    kinds = _Kinds(set(names := list(names)), aliases)
    return [Class(name, line(ast.get_docstring(classes[name])), _fields(name, classes, kinds)) for name in names]


@dataclass(frozen=True)
class _Kinds:
    """How annotations are told: classes of the page become links, a module's own names what they stand for."""

    here: set[str]
    aliases: dict[str, ast.expr]

    def of(self, node: ast.expr) -> str:
        if isinstance(node, ast.BinOp):
            return " or ".join(self.of(one) for one in (node.left, node.right) if not _nothing(one))
        if isinstance(node, ast.Subscript):
            return self._subscript(ast.unparse(node.value), node.slice)
        name = node.value if isinstance(node, ast.Constant) else ast.unparse(node)
        if name in self.here:
            return f"[{name}](#{name.lower()})"
        return PLAIN.get(name) or (self.of(self.aliases[name]) if name in self.aliases else name)

    def _subscript(self, outer: str, inner: ast.expr) -> str:
        parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if outer == "Literal":
            return " or ".join(code(ast.literal_eval(one)) for one in parts)
        if outer == "Annotated":
            return self.of(parts[0])
        if outer in ("list", "tuple"):
            return f"list of {self.of(parts[0])}"
        return f"{self.of(parts[0])} → {self.of(parts[1])}"


def _fields(name: str, classes: dict[str, ast.ClassDef], kinds: _Kinds) -> list[Field]:
    body = classes[name].body
    found = [one for base in classes[name].bases for one in _inherited(ast.unparse(base), classes, kinds)]
    for at, one in enumerate(body):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            below = body[at + 1] if at + 1 < len(body) else None
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            default, bound = _default(one.value)
            found.append(Field(one.target.id, f"{kinds.of(one.annotation)}{bound}", default, line(text)))
    return found


def _inherited(base: str, classes: dict[str, ast.ClassDef], kinds: _Kinds) -> list[Field]:
    return _fields(base, classes, kinds) if base in classes else []


def _default(node: ast.expr | None) -> tuple[str, str]:
    """What holds when the key is left out, and the bounds of its value."""
    if node is None:
        return "**needed**", ""
    if not isinstance(node, ast.Call):
        return _value(node), ""
    if ast.unparse(node.func) not in ("Field", "field"):
        return (_value(node.args[0]) if node.args else "its own defaults"), ""
    words = {one.arg: one.value for one in node.keywords}
    bounds = [f"{BOUNDS[name]} {ast.unparse(value)}" for name, value in words.items() if name in BOUNDS]
    bound = f", {', '.join(bounds)}" if bounds else ""
    if "default_factory" in words:
        return "none", bound
    return (_value(words["default"]) if "default" in words else "**needed**"), bound


def _value(node: ast.expr) -> str:
    if _nothing(node):
        return ""
    if isinstance(node, ast.List | ast.Tuple | ast.Dict):
        return "none"
    if isinstance(node, ast.Name):  # a number with a name
        return code(node.id)
    value = ast.literal_eval(node)
    return code(str(value).lower() if isinstance(value, bool) else value)


def _nothing(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def constants(path: Path, names: Sequence[str]) -> list[tuple[object, str]]:
    """The values of a module's constants, in the order of `names`, and the sentence below each."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    found = {}
    for at, one in enumerate(body):
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and one.targets[0].id in names:
            below = body[at + 1] if at + 1 < len(body) else None
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            found[one.targets[0].id] = (ast.literal_eval(one.value), line(text))
    return [found[name] for name in names]
