"""A Docker engine for tests: the one that answers, else one of the session's own; and images made in it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.config.recipe import read_recipe
from launcher.images.docker_engine import ImageRequest, build
from launcher.planning.code_version import code_of
from launcher.transfer.copy import folder_lock
from tests.support.apt import LOCKS, install, without
from tests.support.patience import Deadline

ROOT = Path(__file__).parent.parent.parent
SOCKET = "/var/run/docker.sock"
BASE = "launcher-test-base:bookworm"
PATIENCE = 60.0
"""Seconds for an engine to start or to end."""


@dataclass(frozen=True)
class Engine:
    """An engine that answers, and a client that builds with BuildKit."""

    docker: str
    host: str

    @property
    def local_base(self) -> str:
        """Debian as an image that came from no registry; made when it is first asked for."""
        with folder_lock(LOCKS / "base"):
            if not self.holds(BASE):
                install("debootstrap")
                self.said("bash", str(ROOT / "images/local-base"), BASE)
        return BASE

    def holds(self, image: str) -> bool:
        asked = [self.docker, "image", "inspect", image]
        return subprocess.run(asked, env=self.env, capture_output=True).returncode == 0

    def build(self, folder: Path, *options: str) -> str:
        """The output of a build; its failure is an AssertionError with that output."""
        secret = ["--secret", f"id=ca,src={ca}"] if (ca := os.environ.get("SSL_CERT_FILE")) else []
        return self.said(self.docker, "build", "--progress", "plain", *secret, *options, str(folder))

    def run(self, image: str, *command: str, options: tuple[str, ...] = ("--network", "none")) -> str:
        """What a command says in a container of its own."""
        return self.said(self.docker, "run", "--rm", *options, image, *command)

    def said(self, *argv: str) -> str:
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(argv, env=self.env, cwd=ROOT, text=True, errors="replace", **out)
        assert done.returncode == 0, f"{' '.join(argv)[:300]}\n{done.stdout[-8000:]}"
        return done.stdout

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "DOCKER": self.docker, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "1"}


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """An engine; DOCKER and DOCKER_HOST lead everything that the session starts to it."""
    with running() as engine, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.host)
        patch.setenv("DOCKER", engine.docker)
        yield engine


@pytest.fixture(scope="session")
def local_base(engine: Engine) -> str:
    return engine.local_base


@pytest.fixture(scope="session")
def cpu_image(engine: Engine):
    """Makes the CPU image of a recipe, by the command's own function; gives its name."""

    def made(recipe: str) -> str:
        found, said = read_recipe(recipe, ROOT), []
        wanted = ImageRequest(ROOT, found.file.image, found.family, base=engine.local_base)
        return build(wanted, code_of(ROOT, found.family, True), said.append).name

    return made


@contextlib.contextmanager
def running() -> Iterator[Engine]:
    """The engine that answers; one of our own where none does."""
    with contextlib.ExitStack() as stack:
        host = os.environ.get("DOCKER_HOST") or f"unix://{SOCKET}"
        if not answers(host):
            install("dockerd")
            if os.geteuid():
                without("no Docker engine answers, and one needs root")
            if not answers(host):
                host = stack.enter_context(own_engine())
        yield Engine(client(), host)


def answers(host: str) -> bool:
    """Whether an engine is there, asked by any client."""
    docker = os.environ.get("DOCKER") or shutil.which("docker")
    if not docker:
        return False
    asked = [docker, "--host", host, "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(asked, capture_output=True).returncode == 0


def client() -> str:
    """The client named by DOCKER, else the first on PATH that builds with BuildKit."""
    folders = os.environ["PATH"].split(os.pathsep)
    programs = [path for folder in folders if (path := shutil.which("docker", path=folder))]
    for program in [os.environ["DOCKER"]] if os.environ.get("DOCKER") else programs:
        version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        built_in = int(version.split()[2].split(".")[0]) < 23  # later ones have it only in the plugin
        if built_in or subprocess.run([program, "buildx", "version"], capture_output=True).returncode == 0:
            return program
    return pytest.fail(f"no client of {programs} builds with BuildKit: install docker-buildx")


@contextlib.contextmanager
def own_engine() -> Iterator[str]:
    """The address of an engine whose every file is in one folder; in the end its processes and that folder are gone."""
    folder = Path(tempfile.mkdtemp(prefix="launcher-engine-"))
    host = f"unix://{folder}/docker.sock"
    folders = ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen(["dockerd", *folders, "--host", host], stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = Deadline(PATIENCE)
        while not answers(host):
            said = (folder / "log").read_text(errors="replace")[-3000:]
            assert daemon.poll() is None and not deadline.over, f"dockerd does not start:\n{said}"
            time.sleep(0.1)
        yield host
    finally:
        daemon.send_signal(signal.SIGTERM)  # stops its containers, then its containerd
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(PATIENCE)
        for pid in working_in(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        daemon.wait()
        for mount in [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()][::-1]:
            if mount.startswith(str(folder)):
                subprocess.run(["umount", "-l", mount], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def working_in(folder: Path) -> list[int]:
    """The processes whose command line names the folder: the engine, its containerd, its shims."""
    processes = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (process / "cmdline").read_bytes():
                processes.append(int(process.name))
    return processes


def main() -> None:
    """`python -m tests.support.engine COMMAND...`: the command, with an engine that answers for as long as it lasts."""
    with running() as engine:
        done = subprocess.run(sys.argv[1:], env={**os.environ, "DOCKER_HOST": engine.host, "DOCKER": engine.docker})
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
