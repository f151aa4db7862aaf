"""Building calls Docker for what is missing, in order, with no secret on the command line; what goes wrong is said."""

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from launcher.errors import FAILED, MISTAKE, LaunchError
from launcher.images.docker_engine import (
    ImageRequest,
    base_argv,
    build,
    cpu_torch,
    image_argv,
    requirements,
    sbom_path,
    torch_argv,
)
from launcher.images.identity import base_name, identity, image_of
from launcher.runfolder.plan import Code

ROOT = Path(__file__).parent.parent.parent.parent
CODE = Code("", (), "c0ffee", True)
FAKE = """#!{python}
import json, os, pathlib, sys
words, folder = sys.argv[1:], pathlib.Path({folder!r})
held = folder / "held"
with open(folder / "calls", "a") as calls:
    print(json.dumps([pathlib.Path(sys.argv[0]).name, *words]), file=calls)
if words[0] == "image":
    sys.exit(words[-1] not in held.read_text().split())
if words[0] == "version" and (folder / "down").exists():
    sys.exit("Cannot connect to the Docker daemon at unix:///nowhere. Is the docker daemon running?")
if words[0] == "build":
    context = pathlib.Path(".")
    seen = sorted(str(path) for path in context.rglob("*") if path.is_file())
    name = words[words.index("--tag") + 1].partition(":")[0].rpartition("/")[2]
    (folder / f"context-{{name}}").write_text("\\n".join(seen))
    print("#1 BuildKit is", os.environ["DOCKER_BUILDKIT"])
    if (folder / "fails").exists():
        print(*(f"line {{number}}" for number in range(40)), (folder / "fails").read_text(), sep="\\n")
        sys.exit(7)
    held.write_text(held.read_text() + " " + words[words.index("--tag") + 1])
if words[0] == "push" and (folder / "denied").exists():
    sys.exit("denied: requested access to the resource is denied")
"""


class Fake:
    """A program in the place of `docker` and of this Python's pip, which writes down how it was called."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.said = folder, []
        self.docker = self.program("docker")
        (folder / "held").write_text("")
        monkeypatch.setenv("DOCKER", str(self.docker))
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        monkeypatch.delenv("TORCH_INDEX", raising=False)

    def program(self, name: str) -> Path:
        path = self.folder / name
        path.write_text(FAKE.format(python=sys.executable, folder=str(self.folder)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    def context(self, name: str) -> list[str]:
        return (self.folder / f"context-{name}").read_text().splitlines()


@pytest.fixture
def fake(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    return Fake(tmp_path / "bin", monkeypatch)


@pytest.fixture
def root(tmp_path):
    """A project with the toy recipe; the node program lies elsewhere."""
    for name in ("images", "locks", "recipes"):
        shutil.copytree(ROOT / "tests/toy" / name, tmp_path / "project" / name)
    return tmp_path / "project"


def names(root, **other):
    return base_name(root, "cpu", **other), image_of(root, "toy", "toy", "cpu", **other).name


def after_builds(calls):
    return [[one[1], one[one.index("--tag") + 1] if one[1] == "build" else one[-1]] for one in calls]


def test_the_base_is_built_and_then_the_recipe_on_it(fake, root):
    base, name = names(root)
    assert build(ImageRequest(root, "toy", "toy"), CODE, fake.said.append) == image_of(root, "toy", "toy", "cpu")
    assert [one for one in after_builds(fake.calls) if one[0] == "build"] == [["build", base], ["build", name]]
    assert fake.said == ["#1 BuildKit is 1\n"] * 2


def test_what_the_engine_holds_is_not_built_again(fake, root):
    build(ImageRequest(root, "toy", "toy"), CODE, fake.said.append)
    before = len(fake.calls)
    build(ImageRequest(root, "toy", "toy"), CODE, fake.said.append)
    assert [one[1] for one in fake.calls[before:]] == ["version", "image", "image"]


def test_changed_code_leaves_the_base_alone(fake, root):
    build(ImageRequest(root, "toy", "toy"), CODE, fake.said.append)
    before = len(fake.calls)
    (root / "recipes/toy/count.py").write_text("changed = True\n")
    build(ImageRequest(root, "toy", "toy"), CODE, fake.said.append)
    assert [one[1] for one in after_builds(fake.calls[before:]) if one[0] == "build"] == [names(root)[1]]


def test_a_registry_gets_both(fake, root):
    base, name = names(root, registry="ghcr.io/acme")
    build(ImageRequest(root, "toy", "toy", registry="ghcr.io/acme", push=True), CODE, fake.said.append)
    assert [one[1:] for one in fake.calls[-2:]] == [["push", base], ["push", name]]


def test_a_registry_in_the_name_alone_gets_nothing(fake, root):
    build(ImageRequest(root, "toy", "toy", registry="ghcr.io/acme"), CODE, fake.said.append)
    assert not [one for one in fake.calls if one[1] == "push"]


def test_a_recipe_s_image_is_built_from_its_code_and_the_node_program_alone(fake, root):
    (root / "recipes/toy/__pycache__").mkdir(exist_ok=True)
    (root / "recipes/toy/__pycache__/count.pyc").write_text("")
    (root / "recipes/toy/.env").write_text("TOKEN=secret")
    build(ImageRequest(root, "toy", "toy"), CODE, fake.said.append)
    seen = fake.context("launcher-toy")
    assert {"launcher/__init__.py", "launcher/node/stage.py", "recipes/toy/count.py"} <= set(seen)
    assert {one.split("/")[0] for one in seen} == {"launcher", "recipes"}
    assert not [one for one in seen if "__pycache__" in one or "/." in one or one.startswith("launcher/cli")]


def test_the_base_s_command_is_this(root):
    wanted = ImageRequest(root, "toy", "toy", "cuda", base="debian-local:bookworm")
    file, label = f"{root}/images/base/Dockerfile", "org.opencontainers.image.base.name=debian-local:bookworm"
    begun = ["docker", "build", "--progress", "plain", "--tag", "b:1", "--file", file, "--build-arg", "VARIANT=cuda"]
    given = ["--build-arg", "BASE=debian-local:bookworm", "--label", label]
    assert base_argv("docker", wanted, "b:1", None) == [*begun, *given, "."]
    assert base_argv("docker", wanted, "b:1", "/ca.pem") == [*begun, *given, "--secret", "id=ca,src=/ca.pem", "."]
    assert base_argv("docker", ImageRequest(root, "toy", "toy", "cuda"), "b:1", None) == [*begun, "."]


def test_a_recipe_s_command_carries_its_identity_and_its_labels(root):
    image = image_of(root, "toy", "toy", "cpu")
    argv = image_argv("docker", ImageRequest(root, "toy", "toy"), image, "b:1", CODE)
    arguments = [argv[at + 1] for at, word in enumerate(argv) if word == "--build-arg"]
    about = [argv[at + 1] for at, word in enumerate(argv) if word == "--label"]
    assert arguments == ["BASE=b:1", f"IDENTITY={json.dumps(identity(image), sort_keys=True)}"]
    assert {f"{key}={value}" for key, value in identity(image).items()} <= set(about)
    assert {"org.opencontainers.image.revision=c0ffee-dirty", "org.opencontainers.image.base.name=b:1"} <= set(about)


def test_torch_s_cpu_wheel_is_brought_for_the_images_python(root, fake, monkeypatch):
    assert cpu_torch(ROOT) == "torch==2.13.0+cpu" and cpu_torch(root) is None
    (root / "locks/cpu.in").write_text("torch==9.1.0\n")
    (root / "images/.wheels").mkdir()
    (root / "images/.wheels/torch-9.0.0+cpu-cp311.whl").write_text("old")
    (root / "images/.wheels/torch-9.1.0+cpu-cp311.whl").write_text("new")
    monkeypatch.setattr(sys, "executable", str(fake.program("python")))
    monkeypatch.setenv("TORCH_INDEX", "https://torch.example/cpu")
    build(ImageRequest(root, "toy", "toy"), CODE, fake.said.append)
    [pip] = [one for one in fake.calls if one[0] == "python" and "pip" in one]
    assert pip[1:] == torch_argv("torch==9.1.0+cpu", root / "images/.wheels", "https://torch.example/cpu")[1:]
    assert pip[pip.index("--python-version") :][:2] == ["--python-version", "3.11"] and pip[-1] == "torch==9.1.0+cpu"
    assert [path.name for path in (root / "images/.wheels").glob("*.whl")] == ["torch-9.1.0+cpu-cp311.whl"]


def test_gpus_need_no_wheel(root, fake, monkeypatch):
    for name in ("in", "lock"):
        shutil.copy(root / f"locks/cpu.{name}", root / f"locks/cuda.{name}")
    (root / "locks/cpu.in").write_text("torch==9.1.0\n")
    build(ImageRequest(root, "toy", "toy", "cuda"), CODE, fake.said.append)
    assert not [one for one in fake.calls if one[0] == "python"]


def test_a_bill_of_materials_lies_beside_it_and_is_the_same_each_time(fake, root):
    pytest.importorskip("cyclonedx_py")
    (root / "locks/cpu.lock").write_text("ray==2.60.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    (root / "locks/sky.lock").write_text("ray==2.9.3 \\\n    --hash=sha256:" + "1" * 64 + "\n")
    image = build(ImageRequest(root, "toy", "toy"), CODE, fake.said.append)
    first = sbom_path(root, image).read_bytes()
    build(ImageRequest(root, "toy", "toy"), CODE, fake.said.append)
    assert sbom_path(root, image).read_bytes() == first
    listed = json.loads(first)
    assert {(one["name"], one["version"]) for one in listed["components"]} == {("ray", "2.60.0"), ("ray", "2.9.3")}
    assert requirements(ROOT, "cpu").endswith("\ntorch==2.13.0+cpu")


def said_by(wanted):
    with pytest.raises(LaunchError) as problem:
        build(wanted, CODE, lambda text: None)
    return str(problem.value), problem.value.code


def test_a_missing_client_is_said(root, monkeypatch):
    monkeypatch.setenv("DOCKER", "/nowhere/docker")
    assert said_by(ImageRequest(root, "toy", "toy")) == (
        "error: there is no command `/nowhere/docker`\n\nhint: install Docker, or name a client with `DOCKER=`",
        MISTAKE,
    )


def test_an_engine_that_does_not_answer_is_said(fake, root):
    (fake.folder / "down").touch()
    assert said_by(ImageRequest(root, "toy", "toy")) == (
        "error: no Docker engine answers: Cannot connect to the Docker daemon at unix:///nowhere. "
        "Is the docker daemon running?\n\nhint: start Docker, or name its socket in DOCKER_HOST",
        MISTAKE,
    )


def test_a_client_without_buildkit_is_said(fake, root):
    (fake.folder / "fails").write_text("ERROR: BuildKit is enabled but the buildx component is missing or broken.")
    assert said_by(ImageRequest(root, "toy", "toy")) == (
        f"error: `{fake.docker}` builds with BuildKit only through its plugin `buildx`, which is not installed\n\n"
        "hint: install it (Debian: `docker-buildx`), or name another client: `DOCKER=/usr/bin/docker`",
        MISTAKE,
    )


def test_a_failed_build_ends_with_its_last_lines_and_nothing_after_it_is_done(fake, root):
    (fake.folder / "fails").write_text("ERROR: no such package")
    last = "".join(f"line {number}\n" for number in range(26, 40))
    assert said_by(ImageRequest(root, "toy", "toy", registry="ghcr.io/acme", push=True)) == (
        f"error: `{fake.docker} build` ended with exit code 7:\n{last}ERROR: no such package\n\n"
        "hint: the step that failed is in the output above",
        FAILED,
    )
    assert [one[1] for one in fake.calls] == ["version", "image", "build"]


def test_a_refused_push_says_how_to_log_in(fake, root):
    (fake.folder / "denied").touch()
    assert said_by(ImageRequest(root, "toy", "toy", registry="ghcr.io/acme", push=True)) == (
        f"error: `{fake.docker} push` ended with exit code 1:\n"
        "denied: requested access to the resource is denied\n\n"
        "hint: `docker login ghcr.io/acme` lets you write there",
        FAILED,
    )


def test_a_wheel_that_no_index_has_is_said(fake, root, monkeypatch):
    (root / "locks/cpu.in").write_text("torch==9.1.0\n")
    pip = fake.program("python")
    pip.write_text("#!/bin/sh\necho 'ERROR: No matching distribution found for torch==9.1.0+cpu'\nexit 1\n")
    (root / "images/.wheels").mkdir()
    monkeypatch.setattr(sys, "executable", str(pip))
    assert said_by(ImageRequest(root, "toy", "toy")) == (
        f"error: `{pip} -m pip download` ended with exit code 1:\n"
        "ERROR: No matching distribution found for torch==9.1.0+cpu\n\n"
        "hint: `TORCH_INDEX=https://download.pytorch.org/whl/cpu` names the index that has `torch==9.1.0+cpu`",
        FAILED,
    )


def test_a_certificate_authority_is_given_as_a_secret_by_its_path_alone(fake, root, monkeypatch, tmp_path):
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    build(ImageRequest(root, "toy", "toy"), CODE, fake.said.append)
    first, second = (one for one in fake.calls if one[1] == "build")
    assert f"id=ca,src={tmp_path}/ca.pem" in first and "--secret" not in second
    assert os.environ["SSL_CERT_FILE"] not in (root / "images/base/Dockerfile").read_text()
