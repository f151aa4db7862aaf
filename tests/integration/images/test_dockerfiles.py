"""Every Dockerfile is short, starts from something that cannot change, and ends by importing what it installed."""

import re
import subprocess
from pathlib import Path

import pytest

from launcher.config.recipe import families, names, read_recipe
from launcher.config.yaml import load

ROOT = Path(__file__).parent.parent.parent.parent
FILES = sorted(ROOT.glob("images/*/Dockerfile"))
RECIPES = [path for path in FILES if path.parent.name != "base"]


def name_of(path):
    return path.parent.name


def instructions(path):
    """Each instruction with its continuation lines as one, without comments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return [re.sub(r"\s+", " ", one).strip() for one in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines() if one]


def test_there_is_a_base_and_an_image_for_every_recipe():
    wanted = {read_recipe(name, ROOT).file.image for name in names(ROOT)}
    assert families(ROOT) and {name_of(path) for path in FILES} == {"base", *wanted}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_it_is_short_and_begins_by_saying_what_it_is(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 60 and lines[0].startswith("# ")
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_comes_from_where_it_can_change(path):
    text = "\n".join(instructions(path))
    assert not re.search(r"git clone|\bENTRYPOINT\b|^USER |^ADD |https?://|(curl|wget) .*\| *(ba)?sh", text, re.M)
    assert "# syntax=" not in path.read_text()  # it would name an image of a registry


def test_the_base_starts_from_a_digest_unless_told_otherwise():
    first = instructions(ROOT / "images/base/Dockerfile")[0]
    assert re.fullmatch(r"ARG BASE=debian:bookworm-\d{8}-slim@sha256:[0-9a-f]{64}", first)


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_starts_from_the_base_that_it_is_given(path):
    assert instructions(path)[:2] == ["ARG BASE", "FROM ${BASE}"]


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_s_image_only_adds_code(path):
    assert not re.search(r"pip install|apt-get|uv ", "\n".join(instructions(path)))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_last_step_imports_the_heavy_packages_and_prints_their_versions(path):
    last = instructions(path)[-1]
    assert last.startswith("RUN ") and "/opt/venv/bin/python" in last
    assert "import" in last and "__version__" in last and "torch" in last
    recipe = ROOT / "recipes" / name_of(path) / "recipe.yaml"
    packages = load(recipe)["packages"] if recipe.exists() else {"ray": ""}
    assert not [name for name in packages if name not in {"datasets"} and name not in last.replace("_", "-")]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_install_is_locked(path):
    for one in instructions(path):
        for command in re.findall(r"pip install [^&]*", one):
            assert "--no-deps" in command, command
            assert "--require-hashes" in command or "/wheels/" in command, command


def test_hadolint_finds_nothing():
    config = ["--config", str(ROOT / ".hadolint.yaml")]
    done = subprocess.run([ROOT / ".venv/bin/hadolint", *config, *FILES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
