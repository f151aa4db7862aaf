"""`~/.config/launcher/site.yaml`: where runs go, and with whose money."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ByteSize, Field

from launcher.document import Strict, read

CLOUDS = ("local", "docker", "lambda", "runpod", "slurm", "kubernetes")
"""The words `--cloud` knows without a site file."""


class BudgetSite(Strict):
    """What no run may exceed unless the command line says otherwise."""

    max_cost: float | None = Field(default=None, gt=0)
    max_hours: float | None = Field(default=None, gt=0)


class LocalSite(Strict):
    """The machine in front of you: which Python runs the stages."""

    python: str | None = None


class DockerSite(Strict):
    """The local Docker engine: what a container may take."""

    memory: ByteSize | None = None
    cpus: float | None = Field(default=None, gt=0)
    shm: ByteSize | None = None
    """Shared memory, for data loaders and NCCL; half of the machine's memory unless said otherwise."""
    offline: bool = False
    """No network at all in the container."""


class SiteFile(Strict):
    runs: Path = Path("runs")
    """Where results are brought home, relative to the folder `launcher` runs in."""
    store: Path | None = None
    """Where the machine keeps run folders (checkpoints are large); `.store` below `runs` unless said otherwise."""
    registry: str | None = None
    """Where images are pushed to and pulled from, as `ghcr.io/acme`; they stay on this machine unless one is named."""
    local: LocalSite = LocalSite()
    docker: DockerSite = DockerSite()
    budget: BudgetSite = BudgetSite()

    @property
    def local_store(self) -> Path:
        return (self.store or self.runs / ".store").expanduser()


def site_path(env: Mapping[str, str] = os.environ) -> Path:
    """The site file's place by the XDG rules."""
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "launcher" / "site.yaml"


def read_site(path: Path) -> SiteFile:
    """The site's settings; the defaults when there is no file. Raises LaunchError when it is wrong."""
    return read(path, SiteFile) if path.exists() else SiteFile()
