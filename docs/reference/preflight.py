"""The page of checks: what each asks, by which command, and what it says when something is wrong."""

import ast
import re
from pathlib import Path

import calls
from page import line, page

LAUNCHER = Path(__file__).parents[2] / "launcher"


def text() -> str:
    quick, _, thorough = (LAUNCHER / "preflight/runner.py").read_text(encoding="utf-8").partition("def thorough(")
    quick += thorough.partition("def _elsewhere(")[2]
    parts = []
    for path in sorted((LAUNCHER / "preflight").glob("*.py")):
        question = line(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))
        found = list(calls.findings(path))
        for name in dict.fromkeys(one.check for one in found):
            mine = [one for one in found if one.check == name]
            own = next((one.question for one in mine if one.question), question)
            about = " ".join(dict.fromkeys(one.about for one in mine if one.about))
            when = (
                "`plan` and `launch`"
                if any(re.search(rf"\b{path.stem}\.{one.function}\b", quick) for one in mine)
                else "`launch`"
            )
            parts.append(f"## {name}\n\n{own} {about}\n\nBy {when}.\n\n{_told(mine)}")
    return page(
        "Checks before a launch",
        "What `plan` and `launch` look at, and what they say when something is wrong; `…` stands for what is computed. "
        "`--force NAME` makes a refusal a warning. [Before money is spent](../guides/checks.md).",
        *sorted(parts),
    )


def _told(found: list[calls.Found]) -> str:
    lines = []
    for level in ("REFUSED", "WARNING"):
        for one in found:
            if level in one.levels:
                lines.append(f"- {level.lower()}: {one.says}" + (f"<br>hint: {one.hint}" if one.hint else ""))
    return re.sub(
        r"…<br>hint: …( / .*)?$", "in the words of what was asked", "\n".join(dict.fromkeys(lines)), flags=re.M
    )
