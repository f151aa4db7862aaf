"""The Docker engine: how it is reached, what it holds, and how it builds an image: the base first, then a recipe's thin
layers on it, and beside the image a bill of materials (CycloneDX). The SDK is imported only in here and by the docker
backend, and only when it is needed."""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import FAILED, LaunchError
from launcher.images.identity import PROGRAM, base_name, identity, image_of, labels, node_home, recipe_folders
from launcher.runfolder.plan import Code, Image

if TYPE_CHECKING:
    from docker import DockerClient

ROOTLESS, NVIDIA = "name=rootless", "nvidia"


@dataclass(frozen=True)
class Facts:
    """What an engine says about itself."""

    memory: int
    """Bytes of the machine it runs on."""
    gpus: bool
    """Whether containers can be given NVIDIA GPUs."""
    rootless: bool
    """Whether root in a container is the calling user outside."""


@dataclass(frozen=True)
class Card:
    """One GPU of this machine; `memory` in bytes; `capability`: which compiled kernels it runs; `driver`: a version."""

    name: str
    memory: int
    capability: float = 0.0
    driver: str = ""


def connect() -> "DockerClient":
    """A client of the engine that the docker command would use: DOCKER_HOST's, or the current context's. Raises
    LaunchError when none answers."""
    import docker

    address = _address()
    try:
        if address.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as probe:  # the SDK leaves a socket open that it could not connect
                probe.connect(address.removeprefix("unix://"))
        return docker.DockerClient(base_url=address, timeout=60)
    except PermissionError:
        raise LaunchError(
            f"the Docker engine at `{address}` is not for this user",
            "`sudo usermod -aG docker $USER`, and log in again; or use rootless Docker",
        ) from None
    except (OSError, docker.errors.DockerException):
        raise LaunchError(
            f"no Docker engine answers at `{address}`", "start Docker, or name its socket in DOCKER_HOST"
        ) from None


def _address() -> str:
    from docker.context import ContextAPI

    context = None if os.environ.get("DOCKER_HOST") else ContextAPI.get_current_context()
    address = os.environ.get("DOCKER_HOST") or (context and context.Host)
    return str(address or "unix:///var/run/docker.sock").replace("http+unix://", "unix://")


def facts(info: dict[str, Any]) -> Facts:
    """Read from the engine's `info`."""
    devices = [device.get("ID", "") for device in info.get("DiscoveredDevices") or []]
    gpus = NVIDIA in (info.get("Runtimes") or {}) or any(device.startswith("nvidia.com/gpu") for device in devices)
    return Facts(int(info.get("MemTotal") or 0), gpus, ROOTLESS in (info.get("SecurityOptions") or []))


def local_image(client: "DockerClient", name: str) -> tuple[str, dict[str, str]] | None:
    """The id and the labels of an image that the engine holds; None when it does not."""
    from docker.errors import ImageNotFound

    try:
        image = client.images.get(name)
    except ImageNotFound:
        return None
    return str(image.id), dict(image.labels or {})


def digest_of(name: str) -> str | None:
    """The id of the image here; None when there is no engine or it holds no such image."""
    try:
        with contextlib.closing(connect()) as client:
            image = local_image(client, name)
    except LaunchError:
        return None
    return image[0] if image else None


def cards() -> list[Card]:
    """The GPUs of this machine as its driver names them; none where there is no driver."""
    argv = ["nvidia-smi", "--query-gpu=name,memory.total,compute_cap,driver_version", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    cards = []
    for line in done.stdout.splitlines() if done.returncode == 0 else []:
        name, *rest = (part.strip() for part in line.rsplit(",", 3))
        if len(rest) == 3 and re.fullmatch("[0-9]{1,12}", rest[0]) and re.fullmatch(r"\d+\.\d+", rest[1]):
            cards.append(Card(name, int(rest[0]) << 20, float(rest[1]), rest[2]))  # it counts in MiB
    return cards


WHEELS = "images/.wheels"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
BASED_ON = "org.opencontainers.image.base.name"
ABOVE = "the step that failed is in the output above"
LAST_LINES = 15
"""How much of a failed build's output its error repeats."""
FOLDER = "images/.sbom"


@dataclass(frozen=True)
class ImageRequest:
    """An image to build from the files below `root`."""

    root: Path
    image: str
    """The folder below images/."""
    family: str
    """Whose recipe it carries."""
    variant: str = "cpu"
    registry: str | None = None
    """The first part of its name, as `ghcr.io/acme`."""
    base: str | None = None
    """An image to use for Debian's, where no registry is reached."""
    push: bool = False
    """Whether the registry gets it."""


def build(request: ImageRequest, code: Code, show: Callable[[str], None]) -> Image:
    """The engine holds the image, and the registry too when it is pushed; what it held under that name already is not
    built again. `show` gets the output as it comes. Raises LaunchError with the end of a failed build's output."""
    docker = os.environ.get("DOCKER", "docker")
    _reach(docker)
    image = image_of(request.root, request.image, request.family, request.variant, request.registry)
    base = base_name(request.root, request.variant, request.registry)
    if not _held(docker, base):
        if request.variant == "cpu" and (torch := cpu_torch(request.root)):
            _fetch(torch, request.root / WHEELS, show)
        _run(base_argv(docker, request, base, os.environ.get("SSL_CERT_FILE")), request.root, show)
    if not _held(docker, image.name):
        with tempfile.TemporaryDirectory(prefix="launcher-image-") as folder:
            gather(request, Path(folder))
            _run(image_argv(docker, request, image, base, code), Path(folder), show)
    if not write_sbom(request.root, image):
        show("no SBOM is written: `pip install launcher[images]` for one\n")
    for name in (base, image.name) if request.push else ():
        _run([docker, "push", name], request.root, show, f"`docker login {request.registry}` lets you write there")
    return image


def base_argv(docker: str, request: ImageRequest, name: str, ca: str | None) -> list[str]:
    """The command that builds images/base as `name`, run in the project's folder."""
    file = request.root / "images/base/Dockerfile"
    args = {"VARIANT": request.variant, **({"BASE": request.base} if request.base else {})}
    secret = ["--secret", f"id=ca,src={ca}"] if ca else []
    return [*_build(docker, name, file, args, {BASED_ON: request.base} if request.base else {}), *secret, "."]


def image_argv(docker: str, request: ImageRequest, image: Image, base: str, code: Code) -> list[str]:
    """The command that builds a recipe's image on `base`, run in a folder with the code that goes into it."""
    file = request.root / "images" / request.image / "Dockerfile"
    args = {"BASE": base, "IDENTITY": json.dumps(identity(image), sort_keys=True)}
    return [*_build(docker, image.name, file, args, {**labels(image, code), BASED_ON: base}), "."]


def torch_argv(torch: str, folder: Path, index: str | None) -> list[str]:
    """The command that brings a wheel for the images' Python and Linux, whatever this machine's are."""
    kind = ["--platform", "manylinux_2_28_x86_64", "--implementation", "cp", "--python-version", "3.11"]
    only = ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", *kind, "--dest", str(folder)]
    return [sys.executable, "-m", "pip", "download", *only, *(["--index-url", index] if index else []), torch]


def gather(request: ImageRequest, folder: Path) -> None:
    """The folder holds what the image carries: the node program, and the recipe with what recipes share."""
    home, no = node_home(request.root), shutil.ignore_patterns("__pycache__", ".*")
    for name in PROGRAM:
        shutil.copytree(home / name, folder / name, ignore=no)
    shutil.copy(home / "launcher/__init__.py", folder / "launcher/__init__.py")
    for name in recipe_folders(request.root, request.family):
        shutil.copytree(request.root / name, folder / name, ignore=no)


def _build(docker: str, name: str, file: Path, args: Mapping[str, str], about: Mapping[str, str]) -> list[str]:
    arguments = [text for key, value in args.items() for text in ("--build-arg", f"{key}={value}")]
    label_options = [text for key, value in about.items() for text in ("--label", f"{key}={value}")]
    return [docker, "build", "--progress", "plain", "--tag", name, "--file", str(file), *arguments, *label_options]


def _reach(docker: str) -> None:
    if not shutil.which(docker):
        raise LaunchError(f"there is no command `{docker}`", "install Docker, or name a client with `DOCKER=`")
    asked = [docker, "version", "--format", "{{.Server.Version}}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["`docker version` failed"]
        raise LaunchError(f"no Docker engine answers: {said[-1]}", "start Docker, or name its socket in DOCKER_HOST")


def _held(docker: str, name: str) -> bool:
    asked = [docker, "image", "inspect", "--format", "{{.Id}}", name]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _fetch(torch: str, folder: Path, show: Callable[[str], None]) -> None:
    """The folder holds this wheel of torch and no other."""
    for old in folder.glob("torch-*.whl"):
        if not old.name.startswith(torch.replace("==", "-") + "-"):
            old.unlink()
    argv = torch_argv(torch, folder, os.environ.get("TORCH_INDEX"))
    _run(argv, folder.parent, show, f"`TORCH_INDEX={TORCH_INDEX}` names the index that has `{torch}`")


def _run(argv: Sequence[str], folder: Path, show: Callable[[str], None], hint: str = ABOVE) -> None:
    """Raises LaunchError with the last lines of what the command said."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    env = {**os.environ, "DOCKER_BUILDKIT": "1"}
    out = subprocess.PIPE
    with subprocess.Popen(argv, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT, errors="replace") as child:
        for line in child.stdout or ():
            show(line)
            last.append(line)
    if child.returncode:
        said = "".join(last).rstrip()
        if "buildx component is missing" in said:
            raise LaunchError(
                f"`{argv[0]}` builds with BuildKit only through its plugin `buildx`, which is not installed",
                "install it (Debian: `docker-buildx`), or name another client: `DOCKER=/usr/bin/docker`",
            )
        command = " ".join(argv[: 4 if argv[0] == sys.executable else 2])
        raise LaunchError(f"`{command}` ended with exit code {child.returncode}:\n{said}", hint, FAILED)


def sbom_path(root: Path, image: Image) -> Path:
    return root / FOLDER / f"{image.name.rpartition('/')[2].replace(':', '-')}.cdx.json"


def write_sbom(root: Path, image: Image) -> bool:
    """Whether it was written: the library for it is no need of the launcher's. The same locks give the same bytes."""
    if not importlib.util.find_spec("cyclonedx_py"):
        return False
    path = sbom_path(root, image)
    path.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "-o", str(path), "-"]
    subprocess.run(argv, input=requirements(root, image.variant), capture_output=True, text=True, check=True)
    return True


def requirements(root: Path, variant: str) -> str:
    """The lock of the packages, the lock of SkyPilot's runtime, and torch where the lock leaves it out."""
    texts = [(root / f"locks/{name}.lock").read_text() for name in (variant, "sky")]
    return "\n".join([*texts, (cpu_torch(root) or "") if variant == "cpu" else ""])


def cpu_torch(root: Path) -> str | None:
    """`torch==2.13.0+cpu`: what cpu.lock leaves out, because another index has it."""
    match = re.search(r"^torch==\S+", (root / "locks/cpu.in").read_text(), re.M)
    return f"{match.group()}+cpu" if match else None
