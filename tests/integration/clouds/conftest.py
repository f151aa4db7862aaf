"""A user with accounts at two emulated providers, whose machines are containers, and with an unmodified SkyPilot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.clouds.ledger import ledger
from tests.emulator.client import client, end_server
from tests.emulator.pods import DockerPods
from tests.emulator.server import Emulator
from tests.launcher.conftest import (
    Toy,
    _lines_of,
    _until,
    build_toy,
    environment,
    finished_runs,
    processes,
    small,
    toy,
)
from tests.support.apt import install
from tests.support.engine import cpu_image, engine, local_base
from tests.support.patience import patience

__all__ = [
    "_lines_of",
    "_until",
    "cpu_image",
    "engine",
    "environment",
    "finished_runs",
    "local_base",
    "processes",
    "small",
    "toy",
]

ROOT = Path(__file__).parent.parent.parent.parent
REGISTRY = "registry.test/toys"
"""No such registry: the engine holds the images that are named after it."""
KEY = "rpa_CanaryCANARYcanaryCanaryCANARY"
"""The account's key at both providers."""


@pytest.fixture(scope="session")
def vm_image(engine):
    """What an emulated Lambda VM runs."""
    name = "launcher-emulator-vm:test"
    folder = ROOT / "tests/emulator"
    engine.build(folder, "-t", name, "-f", str(folder / "Dockerfile"), "--build-arg", f"BASE={engine.local_base}")
    return name


@pytest.fixture(scope="session")
def gad_image(cpu_image):
    return cpu_image("gad-tiny")


@pytest.fixture(scope="session")
def toy_image(engine, tmp_path_factory):
    """The toy's image on the first part of the real base: all that SkyPilot wants of a node, without the trainers."""
    node = "launcher-test-node:bookworm"
    base = ["--file", str(ROOT / "images/base/Dockerfile"), "--build-arg", f"BASE={engine.local_base}"]
    engine.build(ROOT, "-t", f"{node}-system", "--target", "system", *base)
    toy = ROOT / "tests/toy/images/node"
    engine.build(toy, "-t", node, "--build-arg", f"BASE={node}-system")
    return build_toy(engine, tmp_path_factory.mktemp("toy-image"), node, REGISTRY)


@pytest.fixture(scope="session")
def providers(engine, vm_image, tmp_path_factory):
    """Both providers; in the end no machine of theirs is left."""
    pods = DockerPods(f"clouds-{os.getpid()}")
    with Emulator(tmp_path_factory.mktemp("providers"), pods, vm_image, KEY) as emulator:
        yield emulator
    pods.close()


@pytest.fixture(scope="session")
def account(providers, tmp_path_factory):
    """The environment of a user with keys for both providers, whose SkyPilot server runs; and the programs it needs."""
    install("ssh", "rsync")
    env = client(tmp_path_factory.mktemp("account"), providers)
    yield env
    end_server(env)


@pytest.fixture
def rented(toy: Toy, toy_image, providers, account, monkeypatch):
    """The toy's user with these accounts; afterwards nothing is alive, whatever the test did."""
    for name, value in account.items():
        toy.env[name] = value
        if name in ("HOME", "RUNPOD_API_BASE_URL", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"):
            monkeypatch.setenv(name, value)
    toy.env["XDG_STATE_HOME"] = str(toy.root.parent / "state")
    toy.env.pop("DOCKER_HOST", None)
    site(toy)
    toy.patience = 400
    providers.faults.clear()
    yield toy
    providers.faults.clear()
    toy.launcher("down", "--all")
    for machine in providers.machines():
        providers.fleet.end(machine, "the test is over")


def site(toy, **more):
    """The user's site file has these keys too."""
    path = Path(toy.env["XDG_CONFIG_HOME"]) / "launcher/site.yaml"
    path.write_text(json.dumps({"registry": REGISTRY, "local": {"python": sys.executable}, **more}))


def book(toy):
    """The user's ledger."""
    return ledger(toy.env)


def sky(toy, *arguments):
    """A `sky` command, ended."""
    argv = [str(Path(sys.executable).with_name("sky")), *arguments]
    return subprocess.run(argv, env=toy.env, cwd=toy.root, capture_output=True, text=True, timeout=patience(600))


__all__ += ["book", "site", "sky"]
