"""A pod or VM as a Docker container."""

import io
import tarfile
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Protocol

import docker
from docker.errors import APIError, NotFound

LABEL = "launcher.emulator"
"""Its value says whose container it is; `launcher.emulator.machine` says of which machine."""
ADDRESSES = tuple(f"127.0.77.{n}" for n in range(2, 255))


@dataclass(frozen=True)
class Order:
    """A container to be started. `ports` are published on 127.0.0.1, each where there is room; with `own_address` they
    are published under their own numbers on an address that no other machine has."""

    id: str
    image: str
    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    own_address: bool = False
    mounts: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """A running container: its inner address, and where each of its published ports is reached."""

    inner: str
    ports: dict[int, tuple[str, int]]


class Pods(Protocol):
    """Where containers come from. `owner` is their label's value, `gateway` this machine as seen from inside them."""

    owner: str
    gateway: str | None

    def start(self, order: Order) -> None:
        """It runs. Raises RuntimeError with the reason if it cannot."""

    def look(self, id: str) -> Look | None:
        """The machine's container, or None if there is none that runs."""

    def remove(self, id: str) -> None:
        """The machine's containers are gone, also those that it started itself."""

    def remove_all(self) -> None:
        """No container of this owner is left."""


class DockerPods:
    """Containers of the local engine (the one that DOCKER_HOST names); `owner` keeps two emulators apart."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.client = docker.from_env()
        networks = self.client.networks.get("bridge").attrs["IPAM"]["Config"]
        bridge = next(ip_network(network["Subnet"]) for network in networks if "." in network["Subnet"])
        self.gateway: str | None = str(bridge[1])

    def start(self, order: Order) -> None:
        last: APIError | None = None
        for address in ADDRESSES if order.own_address else ("127.0.0.1",):
            container = self._create(order, address)
            try:
                if order.files:
                    container.put_archive("/", _tar(order.files))
                container.start()
                return
            except APIError as e:
                container.remove(force=True, v=True)
                last = e
                if "already allocated" not in str(e) and "address already in use" not in str(e):
                    break
        raise RuntimeError(str(last)) from last

    def look(self, id: str) -> Look | None:
        try:
            container = self.client.containers.get(f"emulated-{id}")
        except NotFound:
            return None
        if container.status != "running":
            return None
        network = container.attrs["NetworkSettings"]
        published = (network["Ports"] or {}).items()
        ports = {int(p.split("/")[0]): (b[0]["HostIp"], int(b[0]["HostPort"])) for p, b in published if b}
        return Look(network["Networks"]["bridge"]["IPAddress"], ports)

    def remove(self, id: str) -> None:
        self._remove(f"{LABEL}.machine={id}")

    def remove_all(self) -> None:
        self._remove(f"{LABEL}={self.owner}")

    def close(self) -> None:
        """The engine's connection is closed; the containers live on."""
        self.client.close()

    def labels(self, id: str) -> dict[str, str]:
        return {LABEL: self.owner, f"{LABEL}.machine": id}

    def _create(self, order: Order, address: str):
        bind = {f"{port}/tcp": (address, port if order.own_address else None) for port in order.ports}
        try:
            return self.client.containers.create(
                order.image,
                order.argv,
                name=f"emulated-{order.id}",
                hostname=order.id[:12],
                labels=self.labels(order.id),
                environment=order.environment,
                ports=bind,
                volumes=[f"{outer}:{inner}" for outer, inner in order.mounts.items()],
                shm_size="1g",
                init=True,
            )
        except APIError as e:
            raise RuntimeError(str(e)) from e

    def _remove(self, label: str) -> None:
        for container in self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
            try:
                container.remove(force=True, v=True)
            except NotFound:
                continue
            except APIError as e:
                if e.status_code != 409:  # its removal is already under way
                    raise


def _tar(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
