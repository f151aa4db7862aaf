"""The backend for each value of `--cloud`."""

from collections.abc import Callable
from pathlib import Path

from launcher.backends.base import Backend
from launcher.config.site import SiteFile
from launcher.errors import LaunchError


def backend_of(
    cloud: str, root: Path, site: SiteFile, show: Callable[[str], None] | None = None, wait: float = 0.0
) -> Backend:
    """`show` gets the lines for the user; `wait` is for how many hours to request a machine again if none is free.
    Raises LaunchError for a cloud that this version only plans for."""
    if cloud == "local":
        from launcher.backends.local import Local

        return Local(root, site.local.python, site)
    if cloud == "docker":
        from launcher.backends.docker import Docker

        return Docker(root, site)
    if "slurm" not in cloud.split(","):
        from launcher.backends.sky.backend import Sky

        return Sky(root, site, show or (lambda _: None), wait)
    if cloud == "slurm":
        from launcher.backends.slurm.allocation import Allocation
        from launcher.backends.slurm.login import resolve_workspace
        from launcher.backends.slurm.sbatch import Slurm

        if site.slurm is None:
            raise LaunchError("site.yaml has no section `slurm`", "docs/guides/slurm.md: `slurm:` with `host`")
        cluster = resolve_workspace(site.slurm)
        if site.slurm.via == "sky":
            return Allocation(root, site, cluster, show or (lambda _: None), wait)
        return Slurm(root, site, cluster, show or (lambda _: None))
    raise LaunchError(
        f"this version plans for `{cloud}`, but does not launch there",
        f"`launcher plan RECIPE --cloud {cloud}` shows the plan",
    )
