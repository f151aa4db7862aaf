"""The container that stands for a Lambda VM: sshd for the user `ubuntu`, and a `docker` command of its own."""

import os
import shlex
import shutil
from pathlib import Path

from tests.emulator.machine import Machine
from tests.emulator.pods import LABEL, Order

SHIM = Path(__file__).with_name("docker_in_vm.sh")
CA = "/etc/emulator/ca.pem"


def order(machine: Machine, image: str, keys: list[str], owner: str, proxy: str | None, ca: Path) -> Order:
    """The VM answers on port 22 to these keys. Its HTTPS goes to the emulator, so that a machine can end itself."""
    environment = {"HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": CA, "SSL_CERT_FILE": CA} if proxy else {}
    about = {
        "VM": machine.id,
        "LABELS": f"--label {LABEL}={owner} --label {LABEL}.machine={machine.id}",
        "ENVIRONMENT": " ".join(f"--env {name}={value}" for name, value in environment.items()),
        "CA": f"--volume {ca}:{CA}:ro" if proxy else "",
    }
    return Order(
        machine.id,
        image,
        ["bash", "/etc/emulator/boot"],
        ports=(22,),
        own_address=True,
        mounts=_mounts(ca),
        files={
            "/etc/emulator/about": "".join(f"{name}={shlex.quote(value)}\n" for name, value in about.items()),
            "/etc/emulator/boot": _boot(keys, environment),
            "/usr/local/bin/docker": SHIM.read_text(),
        },
    )


def _boot(keys: list[str], environment: dict[str, str]) -> str:
    """A script that ends as the VM's sshd."""
    lines = "".join(f"{name}={value}\n" for name, value in environment.items())
    return "\n".join(
        [
            f"printf %s {shlex.quote(lines)} >> /etc/environment",
            "mkdir -p -m 700 /home/ubuntu/.ssh /run/sshd",
            f"printf '%s\\n' {' '.join(map(shlex.quote, keys))} > /home/ubuntu/.ssh/authorized_keys",
            "chown -R ubuntu /home/ubuntu/.ssh",
            "ssh-keygen -A",
            "exec /usr/sbin/sshd -D -e",
            "",
        ]
    )


def _mounts(ca: Path) -> dict[str, str]:
    """The engine's socket and client, for the shim: a container of the VM is a sibling of the VM."""
    mounts = {str(ca): f"{CA}:ro"}
    socket = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    client = shutil.which("docker")
    if socket.startswith("unix://") and client:
        mounts[socket.removeprefix("unix://")] = "/var/run/docker.sock"
        mounts[client] = "/usr/local/libexec/docker:ro"
    return mounts
