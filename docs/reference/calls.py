"""What the source says when it is run: findings of checks, events of the node program, errors; read from its calls."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from page import line

LEVELS = ("REFUSED", "WARNING", "UNKNOWN", "OK")


@dataclass(frozen=True)
class Found:
    """A `Finding(...)` in a module of checks; `about` is the first sentence of the public function that finds it, and
    `question` what comes before, where the function answers another question than its module."""

    check: str
    levels: frozenset[str]
    says: str
    hint: str
    function: str
    about: str
    question: str


def findings(path: Path) -> Iterator[Found]:
    """All of a file."""
    for outer in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(outer, ast.FunctionDef):
            continue
        question, _, says = ("" if outer.name.startswith("_") else ast.get_docstring(outer) or "").rpartition("\n\n")
        about = line(says).partition(". ")[0].rstrip(".") + "." if says else ""
        for call in _calls(outer, "Finding"):
            name, level, sentence, *hint = call.args
            named = _assigned(outer, call.lineno)
            if isinstance(name, ast.Constant):
                levels = frozenset(_names(level) or _names(outer))
                told = text(hint[0], named) if hint else ""
                yield Found(str(name.value), levels, text(sentence, named), told, outer.name, about, line(question))


def errors(path: Path) -> Iterator[tuple[str, str]]:
    """Each `LaunchError(...)`, and each `check_known(...)` that raises one: what it says, and its hint."""
    for outer in ast.parse(path.read_text(encoding="utf-8")).body:
        for call in _calls(outer, "LaunchError"):
            yield text(call.args[0], {}), text(call.args[1], {})
        for call in _calls(outer, "check_known"):
            yield text(call.args[2], {}), "…"


def events(folder: Path) -> dict[str, list[str]]:
    """Event -> its facts, of each `events.add("...", fact=...)` below a folder."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.py")):
        for call in _calls(ast.parse(path.read_text(encoding="utf-8")), "add"):
            first = call.args[0] if call.args else None
            if isinstance(first, ast.Constant) and "." in str(first.value):
                facts = found.setdefault(str(first.value), [])
                facts += [one.arg for one in call.keywords if one.arg and one.arg not in facts]
    return found


def keys(path: Path, function: str) -> list[str]:
    """The keys of the largest literal table in a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    [found] = (one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == function)
    tables = [[ast.literal_eval(key) for key in one.keys] for one in ast.walk(found) if isinstance(one, ast.Dict)]
    return max(tables, key=len)


def variables(path: Path) -> set[str]:
    """The environment variables that a module reads by name."""
    found = set()
    for one in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(one, ast.Subscript):
            where, name = one.value, one.slice
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == "get" and one.args:
            where, name = one.func.value, one.args[0]
        else:
            continue
        if ast.unparse(where) in ("env", "environ", "os.environ") and isinstance(name, ast.Constant):
            found.add(str(name.value))
    return found


def text(node: ast.expr, named: dict[str, ast.expr]) -> str:
    """A text as the source composes it, `…` for each part that it computes."""
    if isinstance(node, ast.Constant):
        return line(str(node.value))
    if isinstance(node, ast.JoinedStr):
        return line("".join(str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values))
    if isinstance(node, ast.BinOp):
        return text(node.left, named) + text(node.right, named)
    if isinstance(node, ast.IfExp):
        return f"{text(node.body, named)} / {text(node.orelse, named)}".removesuffix(" / ")
    if isinstance(node, ast.Name) and node.id in named:
        return text(named[node.id], {})
    if isinstance(node, ast.BoolOp):
        return " / ".join(text(one, named) for one in node.values)
    return "…"


def _assigned(tree: ast.AST, before: int) -> dict[str, ast.expr]:
    """The names that a function has given a text above a line, and what it gave them last."""
    given = [one for one in ast.walk(tree) if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)]
    above = sorted((one for one in given if one.lineno <= before), key=lambda one: one.lineno)
    return {one.targets[0].id: one.value for one in above}


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for one in ast.walk(tree):
        if isinstance(one, ast.Call) and ast.unparse(one.func).rpartition(".")[2] == name:
            yield one


def _names(tree: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and one.id in LEVELS}
