"""A user of the tests' Slurm whose SkyPilot knows it: a home of its own, and nodes whose set-up needs no network."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.emulator import catalog
from tests.emulator.client import PORT, end_server
from tests.support.apt import SYSTEM
from tests.support.patience import patience
from tests.support.ports import free_port
from tests.support.slurm.cluster import Cluster

CURL = """\
#!/bin/bash
case "$*" in *astral.sh/uv*) echo 'mkdir -p "$UV_INSTALL_DIR" && cp {uv} "$UV_INSTALL_DIR/uv"'; exit;; esac
exec {curl} "$@"
"""
UV = """\
#!/bin/bash
# uv as SkyPilot's set-up of a node calls it. Its environment sees the packages that are installed here
export UV_OFFLINE=1 UV_NO_CACHE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
case "$1 $2 $4" in
"venv --seed --python"|*--relocatable*) ;;
"pip install "*) exec {real} "$@" --no-deps;;
*) exec {real} "$@";;
esac
case "$3" in */skypilot-runtime) ;; *) exit 1;; esac
{python} -m venv --without-pip "$3" && printf '%s\\n' {packages} > "$(echo "$3"/lib/python*/site-packages)/here.pth"
"""


@contextmanager
def user(cluster: Cluster, home: Path) -> Iterator[dict[str, str]]:
    """The environment of a user whose SkyPilot reaches the cluster; its server ends with the block."""
    _nodes(cluster)
    (home / ".slurm").mkdir()
    (home / ".slurm/config").write_text(cluster.ssh_config.read_text())
    catalog.write(home)
    nodes = {"tmpdir": str(cluster.folder / "nodes")}
    slurm = {"provision_timeout": 120, "cluster_configs": {cluster.host: nodes}}
    (home / ".sky/config.yaml").write_text(json.dumps({"allowed_clouds": ["slurm"], "slurm": slurm}))
    env = {
        "HOME": str(home),
        PORT: str(free_port()),
        "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
        "PYTHONWARNINGS": "ignore",
        "NO_COLOR": "1",
    }
    yield env
    end_server(env)


def sky(env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A `sky` command, ended."""
    argv = [str(Path(sys.executable).with_name("sky")), *arguments]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=patience(300))


def _nodes(cluster: Cluster) -> None:
    """SkyPilot's set-up of a node finds all it wants there: its user's PATH begins with a uv that asks nobody."""
    folder = cluster.folder
    shim = folder / "shim"
    (folder / "nodes").mkdir()
    (folder / "nodes").chmod(0o1777)
    shim.mkdir()
    packages = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
    real, python = Path(sys.executable).with_name("uv"), Path(sys.base_prefix).resolve() / "bin/python3"
    values = {"uv": shim / "uv", "curl": "/usr/bin/curl", "real": real, "python": python}
    for name, text in (("curl", CURL), ("uv", UV)):
        (shim / name).write_text(text.format(packages=packages, **values))
        (shim / name).chmod(0o755)
    profile = cluster.home / ".bash_profile"
    profile.write_text(f"PATH={shim}:{SYSTEM}\n")
