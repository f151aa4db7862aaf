"""`~/.config/launcher/site.yaml`: where runs go, and with whose money."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ByteSize, Field, field_validator

from launcher.config.slurm import SlurmSite
from launcher.config.yaml import Strict, read
from launcher.errors import LaunchError

HERE = ("local", "docker")
"""The words of `--cloud` that are this machine."""

REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:[~/].+|keyring:.+/.+|netrc:[\w.-]+)")


class BucketSite(Strict):
    """An object store that outlives the machines; credentials come from the environment."""

    url: str
    """`s3://BUCKET/FOLDER`, or an rclone remote, `NAME:FOLDER`."""
    endpoint: str | None = None
    """Where an `s3://` that is not Amazon's answers."""
    provider: str = "Other"
    """rclone's word for it: AWS, Cloudflare, Minio, ..."""
    region: str | None = None

    @field_validator("url")
    @classmethod
    def _is_a_place(cls, url: str) -> str:
        if not re.fullmatch(r"s3://[^/:,]+(/.*)?|[\w.+@ -]+:.*|:[a-z0-9]+(,.*)?:.*", url) or url.startswith("s3:///"):
            raise ValueError("say `s3://BUCKET/FOLDER`, or an rclone remote, `NAME:FOLDER`")
        if re.search(r"(key|secret|token|pass|password|account|user)[a-z_]*=", url):  # pydantic would show the value
            raise LaunchError(
                "site.yaml: `bucket.url` holds a credential", "give it in the environment, or in rclone's own settings"
            )
        return url


class BudgetSite(Strict):
    """What no run may exceed unless the command line says otherwise."""

    max_cost: float | None = Field(default=None, gt=0)
    """Dollars."""
    max_hours: float | None = Field(default=None, gt=0)


class LocalSite(Strict):
    """The machine in front of you: which Python runs the stages."""

    python: str | None = None
    """`.venv-cpu/bin/python` unless said otherwise."""


class DockerSite(Strict):
    """The local Docker engine: what a container may take."""

    memory: ByteSize | None = None
    """All of the machine's unless said otherwise."""
    cpus: float | None = Field(default=None, gt=0)
    """All unless said otherwise."""
    shm: ByteSize | None = None
    """Shared memory, for data loaders and NCCL; half of the machine's memory unless said otherwise."""
    offline: bool = False
    """No network at all in the container."""


class SkySite(Strict):
    """Rented machines, through SkyPilot."""

    start_minutes: float = Field(default=40, gt=0)
    """A machine that is not ready after so long is given up. Eight H100 on Lambda have taken 25 minutes."""
    idle_minutes: int = Field(default=30, ge=1)
    """A machine terminates itself after so many minutes without a job. Until then you can pull its results."""
    stall_minutes: float = Field(default=60, gt=0)
    """A run is stopped after so long without a step, a checkpoint or a new stage."""


class LoginSite(Strict):
    """The account that pulls images from `registry`; the password by reference."""

    username: str
    password: str
    """By reference, as `secrets`."""

    @field_validator("password", mode="before")
    @classmethod
    def _by_reference(cls, value: Any) -> str:
        return reference("registry_login.password", value)


class SiteFile(Strict):
    runs: Path = Path("runs")
    """Where results are brought home, relative to the folder `launcher` runs in."""
    store: Path | None = None
    """Where the machine keeps run folders (checkpoints are large); `.store` below `runs` unless said otherwise."""
    registry: str | None = None
    """Where images are pushed to and pulled from, as `ghcr.io/acme`; they stay on this machine unless one is named."""
    registry_login: LoginSite | None = None
    secrets: dict[str, str] = {}
    """Where a secret's value is: `env:NAME`, `file:PATH`, `keyring:SERVICE/USER` or `netrc:HOST`."""
    local: LocalSite = LocalSite()
    docker: DockerSite = DockerSite()
    sky: SkySite = SkySite()
    slurm: SlurmSite | None = None
    budget: BudgetSite = BudgetSite()
    """`--max-cost` and `--max-hours` go before it."""
    bucket: BucketSite | None = None
    """Where every run's checkpoints and results are kept too, below a folder of its name."""

    @field_validator("secrets", mode="before")
    @classmethod
    def _by_reference(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return reference("secrets", None)
        return {name: reference(f"secrets.{name}", text) for name, text in value.items()}

    @property
    def local_store(self) -> Path:
        return expand_home(self.store or self.runs / ".store")


def reference(key: str, value: Any) -> str:
    """The value, which says where a secret is. Raises LaunchError when it is anything else, such as a secret; it is a
    LaunchError here, because what pydantic raises would be shown with the value."""
    if isinstance(value, str) and REFERENCE.fullmatch(value):
        return value
    raise LaunchError(
        f"site.yaml: `{key}` is not a reference",
        "say where the value is: `env:NAME`, `file:PATH`, `keyring:SERVICE/USER` or `netrc:HOST`; the value itself "
        "does not belong there",
    )


def site_path(env: Mapping[str, str] = os.environ) -> Path:
    """The site file's place by the XDG rules."""
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "launcher" / "site.yaml"


def read_site(path: Path) -> SiteFile:
    """The site's settings; the defaults when there is no file. Raises LaunchError when it is wrong."""
    return read(path, SiteFile) if path.exists() else SiteFile()


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def expand_home(path: str | Path) -> Path:
    """The path with its `~` or `~user` replaced. Raises LaunchError when there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise LaunchError(f"`{path}`: there is no such user", "a file of that name is `./~...`") from None
