"""The documents say what is so: links lead somewhere, the guide's recipe runs, the README's targets exist."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_guide_to_a_new_recipe_makes_one_that_runs(tmp_path):
    guide = (ROOT / "docs/guides/add-a-recipe.md").read_text()
    commands = []
    for kind, text in BLOCK.findall(guide):
        first, _, rest = text.partition("\n")
        if first.startswith("# file: "):
            path = tmp_path / first.removeprefix("# file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rest)
        elif kind == "console":
            commands += [line.removeprefix("$ ") for line in text.splitlines()]
    (tmp_path / "config/launcher").mkdir(parents=True)
    (tmp_path / "config/launcher/site.yaml").write_text(f"local: {{python: {sys.executable}}}\n")
    assert len(commands) == 4
    for command in commands:
        words = [sys.executable, "-m", "launcher", *shlex.split(command)[1:]]
        env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads((tmp_path / "runs/echo-tiny/export/model.json").read_text()) == {"e": 7}
    assert json.loads((tmp_path / "runs/other-letter/export/model.json").read_text()) == {"a": 3}


def test_every_make_target_in_the_documents_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    said = [
        (page, one) for page in PAGES for one in re.findall(r"(?:`|^ {4}|^\$ )make ([a-z-]+)", page.read_text(), re.M)
    ]
    assert len(said) >= 3
    for page, target in said:
        assert target in targets, f"{page}: make {target}"


def test_every_key_of_site_yaml_has_its_line_in_the_reference():
    from launcher.site import SiteFile

    page = (ROOT / "docs/reference/site.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == set(SiteFile.model_fields)


def test_every_command_in_the_documents_exists():
    from launcher.cli import app

    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    said = [
        (page, one)
        for page in PAGES
        for one in re.findall(r"(?:`|^ {4}|^\$ )launcher ([a-z]+)", page.read_text(), re.M)
    ]
    assert len(said) >= 10
    for page, command in said:
        assert command in commands, f"{page}: launcher {command}"


def test_every_module_the_documents_run_exists():
    said = [
        (page, one)
        for page in PAGES
        for one in re.findall(r"python -m ((?:recipes|benchmarks)[\w.]+)", page.read_text())
    ]
    assert len(said) >= 4
    for page, module in said:
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists(), f"{page}: {module}"
