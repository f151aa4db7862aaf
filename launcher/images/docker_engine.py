"""The Docker engine: how it is reached, what it has, which images it holds. The SDK is imported only in here and by the
docker backend, and only when it is needed."""

import contextlib
import os
import re
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import LaunchError

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
