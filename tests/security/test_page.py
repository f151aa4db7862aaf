"""The threat model's page: each claim names a test that there is."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/concepts/threat-model.md").read_text()


def test_every_test_that_the_page_names_exists():
    said = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(said) > 20
    for file, name in said:
        tree = ast.parse((ROOT / file).read_text())
        tests = {one.name for one in tree.body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")}
        assert (name in tests) if name else tests, f"{file}::{name}"


def test_every_claim_that_is_made_names_one():
    defended = PAGE.partition("## What is defended")[2].partition("## ")[0]
    rows = [line for line in defended.splitlines() if line.startswith("| ") and not line.startswith("| claim")]
    assert len(rows) > 12 and all("`tests/" in line for line in rows)
