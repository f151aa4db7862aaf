"""Every check of preflight has, for each level it can find, a case by its exact message: read from the syntax trees."""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKS = HERE.parents[2] / "launcher/preflight"
LEVELS = {"OK", "UNKNOWN", "WARNING", "REFUSED"}


def levels(tree):
    """The level constants below a syntax tree."""
    return {one.id for one in ast.walk(tree) if isinstance(one, ast.Name)} & LEVELS


def found(path):
    """(check, level) of every `Finding("check", LEVEL, ...)` in a file. A level in a variable is one of all that its
    function names."""
    pairs = set()
    for outer in ast.parse(path.read_text()).body:
        for one in ast.walk(outer):
            if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == "Finding":
                name, level = one.args[:2]
                if isinstance(name, ast.Constant):
                    pairs |= {(name.value, each) for each in levels(level) or levels(outer)}
    return pairs


CAN = sorted(pair for path in CHECKS.glob("*.py") for pair in found(path))
TESTED = {pair for path in HERE.glob("test_*.py") for pair in found(path)}


def test_every_check_can_find_something_and_most_can_refuse():
    names = {name for name, _ in CAN}
    assert {name for name, level in CAN if level == "OK"} == names - {"cloud"}, "nothing is said of a tested cloud"
    never = {name for name in names if (name, "REFUSED") not in CAN}
    assert never == {"hours", "workspace", "cloud"}, "what only tells cannot refuse"


@pytest.mark.parametrize(("check", "level"), CAN)
def test_a_case_for_every_level(check, level):
    assert (check, level) in TESTED, f"no test expects Finding({check!r}, {level}, ...)"
