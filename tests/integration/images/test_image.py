"""The CPU image of every recipe, built and run: what is in it, what is not, and that it comes out the same again."""

import json
import os
import re
import tempfile
from pathlib import Path

import pytest

from launcher.config.recipe import families
from launcher.images.docker_engine import ImageRequest, gather, image_argv, sbom_path
from launcher.images.identity import base_name, identity, image_of
from launcher.planning.code_version import code_of

ROOT = Path(__file__).parent.parent.parent.parent
ENGINES_OWN = ("/.dockerenv", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/", "/proc/", "/sys/")
PYTHON = "/opt/venv/bin/python"
TREE = r"find / -xdev -not -type d -printf '%p\t%y %m %u %g %s %l\n' -o -type d -printf '%p\t%y %m %u %g\n'"
SUMS = "find /opt/launcher /opt/venv/lib/python3.11/site-packages/*.pth -type f -print0 | xargs -0 sha256sum"
"""Over what a recipe's image adds to its base."""


@pytest.fixture(scope="module", params=families(ROOT))
def image(request, cpu_image):
    """What the plan will name, built."""
    name = cpu_image(f"{request.param}-tiny")
    found = image_of(ROOT, request.param, request.param, "cpu")
    assert name == found.name
    return found


@pytest.fixture(scope="module")
def tree(engine, image):
    return tree_of(engine, image.name)


def tree_of(engine, name):
    """Path -> kind, mode, owner, size and target of everything in an image."""
    lines = (line.split("\t") for line in engine.run(name, "bash", "-c", TREE).splitlines())
    return {path: about for path, about in lines if not path.startswith(ENGINES_OWN)}


def sums_of(engine, name):
    lines = (line.split("  ", 1) for line in engine.run(name, "bash", "-c", SUMS).splitlines())
    return {path: sha256 for sha256, path in lines}


def facts(engine, name):
    return json.loads(engine.said(engine.docker, "image", "inspect", name))[0]


def test_it_says_what_it_is_in_its_labels_and_in_a_file(engine, image):
    said = facts(engine, image.name)["Config"]["Labels"]
    assert identity(image).items() <= said.items()
    assert said["org.opencontainers.image.base.name"] == base_name(ROOT, "cpu")
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", said["org.opencontainers.image.revision"])
    assert json.loads(engine.run(image.name, "cat", "/opt/launcher/image.json")) == identity(image)


def test_it_starts_nothing_by_itself_and_adds_nothing_to_the_environment(engine, image):
    config = facts(engine, image.name)["Config"]
    assert not config["Entrypoint"] and config["User"] in ("", "0", "root")
    assert {one.partition("=")[0] for one in config["Env"]} == {"PATH"}


def test_any_user_runs_the_node_program_from_any_folder(engine, image):
    stranger = ("--network", "none", "--user", "12345:12345", "--env", "HOME=/tmp")
    for folder in ("/", "/tmp", "/opt/launcher"):
        done = engine.run(image.name, PYTHON, "-m", "launcher.node", "--help", options=(*stranger, "-w", folder))
        assert "usage: python -m launcher.node" in done
    code = "import torch, verl, transformers, recipes.common; print(float(torch.ones(3).sum()))"
    assert engine.run(image.name, PYTHON, "-c", code, options=stranger).splitlines()[-1] == "3.0"
    unreadable = r"find /opt \( -type d ! -executable -o ! -readable \) ! -type l"
    assert engine.run(image.name, "bash", "-c", unreadable, options=stranger) == ""


def test_no_cache_no_secret_and_no_history_is_inside(tree):
    places = [path for path, about in tree.items() if about[0] == "f"]
    assert len(places) > 20_000
    forbidden = re.compile(
        r"/\.git/|/\.cache/|^/root/\.(ssh|netrc|docker|config|bash_history)|/var/cache/(uv|apt/archives)/|^/tmp/"
        r"|/var/lib/apt/lists/.|^/var/log/|/ssh_host_|/(pip\.conf|\.pypirc|id_rsa|id_ed25519|user_hash)$|^/run/secrets"
        r"|^/(wheels|sky\.lock)|^/opt/launcher/.*(__pycache__|/\.)|/torch-[^/]*\.whl$"
    )
    assert [path for path in places if forbidden.search(path)] == []


def test_it_trusts_debian_s_authorities_and_no_other(engine, image):
    count = "grep -c BEGIN /etc/ssl/certs/ca-certificates.crt; grep -cE '^[^#!]' /etc/ca-certificates.conf"
    trusted, of_debian = engine.run(image.name, "bash", "-c", count).split()
    assert trusted == of_debian and int(trusted) > 100


def test_its_history_names_no_file_of_this_machine(engine, image):
    said = engine.said(engine.docker, "history", "--no-trunc", "--format", "{{.CreatedBy}}", image.name)
    for word in (str(ROOT), os.environ.get("PIP_FIND_LINKS") or str(ROOT), str(Path.home() / ".")):
        assert word == "/root" or word not in said


def test_a_second_build_gives_the_same_files_and_the_same_labels(engine, image, tree):
    family = image.name.partition(":")[0].removeprefix("launcher-")
    wanted = ImageRequest(ROOT, family, family, base=engine.local_base)
    argv = image_argv(engine.docker, wanted, image, base_name(ROOT, "cpu"), code_of(ROOT, family, True))
    again = "launcher-test-again"
    try:
        with tempfile.TemporaryDirectory() as folder:
            gather(wanted, Path(folder))
            for path in Path(folder).rglob("*"):
                path.chmod(path.stat().st_mode & 0o700)  # as in a checkout of a careful user
            words = [again if word == image.name else word for word in argv[2:-1]]
            engine.build(Path(folder), "--no-cache", *words)
        one, two = facts(engine, image.name), facts(engine, again)
        assert one["Id"] != two["Id"] and one["Config"]["Labels"] == two["Config"]["Labels"]
        base = facts(engine, base_name(ROOT, "cpu"))["RootFS"]["Layers"]
        assert one["RootFS"]["Layers"][: len(base)] == two["RootFS"]["Layers"][: len(base)] == base
        assert tree_of(engine, again) == tree
        assert sums_of(engine, again) == sums_of(engine, image.name)
    finally:
        engine.said(engine.docker, "image", "rm", again)


def test_what_the_locks_put_in_is_listed_beside_it(image):
    listed = json.loads(sbom_path(ROOT, image).read_text())
    assert listed["bomFormat"] == "CycloneDX"
    names = {f"{one['name']}=={one.get('version')}" for one in listed["components"]}
    assert {"torch==2.13.0+cpu", "verl==0.9.1", "skypilot==0.14.1"} <= names and len(names) > 200


def test_the_file_of_the_cuda_variant_builds_up_to_its_packages(engine):
    words = ["--file", "images/base/Dockerfile", "--target", "system", "--build-arg", "VARIANT=cuda"]
    engine.build(ROOT, *words, "--build-arg", f"BASE={engine.local_base}")
