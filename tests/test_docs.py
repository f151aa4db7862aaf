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


NAMED = re.compile(
    r"(?<![\w/.~<-])((?:launcher|recipes|tests|docs|images|jobs|locks|benchmarks)/[\w./-]+\.(?:py|md|yaml|txt))\b"
)
INVENTED = re.compile(r"/echo|/mine\.|NAME|FILE|FAMILY")
"""Of a page's own making."""


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name not in ("log.md", "CHANGELOG.md")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_file_that_a_page_names_exists(page):
    for path in NAMED.findall(page.read_text()):
        assert (ROOT / path).exists() or INVENTED.search(path), path


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


@pytest.mark.parametrize("name", ["concepts/architecture.md", "guides/tests.md"])
def test_every_path_that_a_page_on_the_code_names_is_there(name):
    text = (ROOT / "docs" / name).read_text()
    paths = re.findall(r"`((?:launcher|recipes|tests|docs|jobs|images|locks)/[\w./-]*)`", text)
    assert len(paths) >= 2
    for path in paths:
        assert (ROOT / path).exists(), path


def test_every_make_target_in_the_documents_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    said = [
        (page, one) for page in PAGES for one in re.findall(r"(?:`|^ {4}|^\$ )make ([a-z-]+)", page.read_text(), re.M)
    ]
    assert len(said) >= 3
    for page, target in said:
        assert target in targets, f"{page}: make {target}"


def test_the_reference_says_what_the_code_says(tmp_path):
    """`make reference` writes it anew."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tmp_path / "none")}
    words = [sys.executable, "docs/reference/make.py", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {path.name: path.read_text() for path in tmp_path.glob("*.md")}
    assert made.keys() == {path.name for path in ROOT.glob("docs/reference/*.md")}
    for name, text in made.items():
        assert (ROOT / "docs/reference" / name).read_text() == text, f"docs/reference/{name}: run `make reference`"


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


COMMAND = re.compile(r"(?:^ {4,7}|^\$ |`)(?:\.venv/bin/)?launcher ([a-z]+(?: [^`\n#]*)?)", re.M)


def said():
    """(page, words) of every launcher command in the documents, a line that ends with a backslash with its next."""
    for page in PAGES:
        for found in COMMAND.findall(re.sub(r"\\\n +", " ", page.read_text())):
            yield page, shlex.split(found.rstrip("\\ ").replace("[", "").replace("]", ""))


def test_every_option_in_the_documents_exists():
    from typer.main import get_command

    from launcher.cli import app

    commands, seen = get_command(app).commands, 0
    for page, words in said():
        known = {word for one in commands[words[0]].params for word in one.opts} | {"--help"}
        given = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        assert given <= known, f"{page}: launcher {' '.join(words)}"
        seen += len(given)
    assert seen > 40


def test_every_recipe_that_the_documents_name_exists():
    from launcher.config.recipe import names

    recipes = set(names(ROOT))
    for page, words in said():
        if words[0] in ("plan", "launch", "rehearse", "lock") and len(words) > 1 and "-" in words[1].strip("-"):
            own = words[1].startswith(("echo-", "toy-")) or not words[1].islower()  # of a page's own making
            assert own or words[1] in recipes or words[1].startswith("-"), f"{page}: {words[1]}"


PLANS = sorted(
    {
        shlex.join(words)
        for page, words in said()
        if page.stem in ("first-rehearsal", "first-launch", "single-gpu", "costs", "checks") and words[0] == "plan"
    }
)


@pytest.mark.parametrize("command", [one for one in PLANS if re.match("plan [a-z]", one)])
def test_every_plan_of_the_guides_is_made(tmp_path, command):
    words = shlex.split(re.sub(r" --data \S+", "", command))  # yours
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher/site.yaml").write_text(f"runs: {tmp_path}\n")
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "200"}
    done = subprocess.run([sys.executable, "-m", "launcher", *words], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^(ok|warning|refused) +memory: ", done.stdout, re.M), done.stdout
