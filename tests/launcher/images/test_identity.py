"""An image's name is what is in it: the same files give the same name, any other file another."""

import re
import shutil
from pathlib import Path

import pytest

from launcher.errors import LaunchError
from launcher.images.identity import PROGRAM, base_name, identity, image_of, labels
from launcher.runfolder.plan import Code

ROOT = Path(__file__).parent.parent.parent.parent
TOY = ROOT / "tests/toy"


@pytest.fixture
def root(tmp_path):
    """A project with the toy recipe and a node program of its own."""
    for name in ("images", "locks", "recipes"):
        shutil.copytree(TOY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in PROGRAM:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def named(root, **other):
    return image_of(root, "toy", "toy", "cpu", **other)


def test_the_same_files_give_the_same_image_wherever_they_lie(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "project"
    shutil.copytree(root, other)
    assert named(root) == named(other)
    assert re.fullmatch(r"launcher-toy:cpu-[0-9a-f]{12}", named(root).name)
    assert re.fullmatch(r"launcher-base:cpu-[0-9a-f]{12}", base_name(root, "cpu"))


@pytest.mark.parametrize(
    "file", ["locks/cpu.in", "locks/cpu.lock", "locks/sky.lock", "images/base/Dockerfile", "images/toy/Dockerfile"]
)
def test_software_changes_the_lock_s_hash_and_not_the_code_s(root, file):
    before = named(root)
    (root / file).write_text((root / file).read_text() + "# more\n")
    after = named(root)
    assert (after.name == before.name, after.lock == before.lock, after.code == before.code) == (False, False, True)


@pytest.mark.parametrize("file", ["recipes/toy/count.py", "launcher/node/stage.py"])
def test_code_changes_the_code_s_hash_and_not_the_lock_s(root, file):
    before = named(root)
    (root / file).write_text((root / file).read_text() + "# more\n")
    after = named(root)
    assert (after.name == before.name, after.lock == before.lock, after.code == before.code) == (False, True, False)


@pytest.mark.parametrize("file", ["images/toy/Dockerfile", "recipes/toy/count.py"])
def test_what_only_one_recipe_has_does_not_change_the_base(root, file):
    before = base_name(root, "cpu")
    (root / file).write_text((root / file).read_text() + "# more\n")
    assert base_name(root, "cpu") == before


def test_a_registry_comes_before_the_name_and_changes_nothing_else(root):
    here, there = named(root), named(root, registry="ghcr.io/acme/")
    assert there.name == f"ghcr.io/acme/{here.name}"
    assert (there.lock, there.code) == (here.lock, here.code)
    assert base_name(root, "cpu", "ghcr.io/acme") == f"ghcr.io/acme/{base_name(root, 'cpu')}"


def test_labels_say_what_is_in_it_and_where_it_came_from(root):
    image = named(root, registry="ghcr.io/acme")
    assert identity(image) == {"launcher.variant": "cpu", "launcher.lock": image.lock, "launcher.code": image.code}
    clean, dirty, unknown = (labels(image, code) for code in (Code("", (), "c0"), Code("", (), "c0", True), Code("")))
    assert identity(image).items() <= clean.items()
    assert clean["org.opencontainers.image.title"] == "launcher-toy"
    revision = "org.opencontainers.image.revision"
    assert (clean[revision], dirty[revision], unknown[revision]) == ("c0", "c0-dirty", "unknown")


def test_another_variant_is_refused(root):
    with pytest.raises(LaunchError) as problem:
        image_of(root, "toy", "toy", "cude")
    assert str(problem.value) == "error: `cude` is not a variant of an image\n\nhint: did you mean `cuda`?"


def test_an_image_without_a_dockerfile_is_refused(root):
    with pytest.raises(LaunchError) as problem:
        image_of(root, "other", "toy", "cpu")
    assert str(problem.value) == (
        f"error: `{root}/images/other/Dockerfile` does not exist\n\nhint: a recipe's image is images/<image>/Dockerfile"
    )
