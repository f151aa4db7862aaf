"""An ssh server of our own on this machine's loopback, and the client's configuration for it."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HOST = "loop"
SERVER = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
"""
CLIENT = """Host {host}
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  LogLevel ERROR
"""


@contextlib.contextmanager
def loopback(folder: Path) -> Iterator[Path]:
    """The path of an ssh_config that knows HOST, for the length of the block; its files are in the folder."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not sshd or not shutil.which("rsync"):
        sys.exit("this benchmark needs rsync and an OpenSSH server (Debian: openssh-server)")
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "server").write_text(SERVER.format(port=port, folder=folder))
    (folder / "client").write_text(CLIENT.format(host=HOST, port=port, user=getpass.getuser(), folder=folder))
    server = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "server")], stderr=subprocess.DEVNULL)
    try:
        _answers(port, server)
        yield folder / "client"
    finally:
        server.terminate()
        server.wait()


def _answers(port: int, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    sys.exit("sshd does not answer")
