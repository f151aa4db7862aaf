"""The page of checks: what each asks, by which command, and what it says when something is wrong."""

import ast
import inspect
import re
from pathlib import Path

import calls
from page import line, page

from launcher.preflight import runner


def text() -> str:
    names = sorted({check.name for check in runner.CHECKS})
    return page(
        "Checks before a launch",
        "What `plan` and `launch` look at, and what they say when something is wrong; `…` stands for what is computed. "
        "`--force NAME` makes a refusal a warning. [Before money is spent](../guides/checks.md).",
        *(_section(name) for name in names),
    )


def _section(name: str) -> str:
    checks = [check for check in runner.CHECKS if check.name == name]
    path = Path(inspect.getfile(checks[0].function))
    found = [one for one in calls.findings(path) if one.check == name]
    question = next((one.question for one in found if one.question), line(_docstring(path)))
    functions = {check.function.__name__ for check in checks}
    about = " ".join(dict.fromkeys(one.about for one in found if one.about and one.function in functions))
    return f"## {name}\n\n{question} {about}\n\nBy {checks[0].when}{_where(checks)}.\n\n{_told(found)}"


def _docstring(path: Path) -> str | None:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def _where(checks: list[runner.Check]) -> str:
    """Nothing of a check that is done wherever a run goes."""
    places = [place for place in runner.EVERYWHERE if any(place in check.where for check in checks)]
    return "" if len(places) == len(runner.EVERYWHERE) else f", for runs on {', '.join(places)}"


def _told(found: list[calls.Found]) -> str:
    lines = []
    for level in ("REFUSED", "WARNING", "UNKNOWN"):
        for one in found:
            if level in one.levels:
                lines.append(f"- {level.lower()}: {one.says}" + (f"<br>hint: {one.hint}" if one.hint else ""))
    return re.sub(
        r"…<br>hint: …( / .*)?$", "in the words of what was asked", "\n".join(dict.fromkeys(lines)), flags=re.M
    )
