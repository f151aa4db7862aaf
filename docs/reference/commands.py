"""The page of commands, exit codes and environment variables, from the command line itself."""

import ast
from pathlib import Path

import calls
import classes
import typer
from page import Table, code, line, page

from launcher.cli import app

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "launcher"
VALUES = {str: "TEXT", int: "N", float: "X", Path: "PATH", list[str]: "TEXT"}


def text() -> str:
    group = typer.main.get_command(app)
    commands = [_command(name, one) for name, one in group.commands.items()]
    codes = classes.constants(LAUNCHER / "runfolder/problem.py", ("DONE", "OURS", "MISTAKE", "FAILED", "INTERRUPTED"))
    read = [
        (
            ", ".join(map(code, names)),
            f"`{path.relative_to(ROOT)}`: {line(ast.get_docstring(ast.parse(path.read_text())))}",
        )
        for path in sorted(LAUNCHER.rglob("*.py"))
        if path.relative_to(LAUNCHER).parts[0] not in ("node", "runfolder")
        and (names := sorted(calls.variables(path) - {"HOME"}))
    ]
    return page(
        "Commands",
        f"`launcher COMMAND`. {line(group.help)}",
        *commands,
        "## Exit codes",
        Table(("code", "")).of((code(value), says) for value, says in codes),
        "An error is one sentence with the file and the key, then `hint:` and what helps.",
        "## Environment variables",
        Table(("variable", "read by")).of(read),
        "Credentials come from where site.yaml says, or from the environment: [secrets](../concepts/secrets.md).",
    )


def _command(name: str, command: typer.core.TyperCommand) -> str:
    rows = []
    for one in command.params:
        default = "" if one.default in (None, False, "") else code(one.default)
        word = f"[{one.name.upper()}]" if not one.required else one.name.upper()
        if one.opts[0].startswith("-"):
            value = "" if one.is_flag else f" {one.metavar or VALUES[one.type_descriptor.annotation]}"
            again = ", again and again" if one.multiple else ""
            word = ", ".join(code(f"{spelling}{value}") for spelling in one.opts) + again
        rows.append((word, (one.help or "").replace("<", "\\<"), default))
    table = Table(("", "", "unless said")).of(rows) if rows else ""
    return "\n\n".join(filter(None, (f"## launcher {name}", line(command.help), table)))
