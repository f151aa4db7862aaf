"""Which backend the word for a cloud means."""

from pathlib import Path

from launcher.backend import Backend
from launcher.errors import LaunchError
from launcher.site import SiteFile


def backend_of(cloud: str, root: Path, site: SiteFile) -> Backend:
    """Raises LaunchError for a cloud that this version only plans for."""
    if cloud == "local":
        from launcher.backends.local import Local

        return Local(root, site.local.python)
    if cloud == "docker":
        from launcher.backends.docker import Docker

        return Docker(root, site.docker)
    raise LaunchError(
        f"this version plans for `{cloud}`, but launches on `local` and `docker` only",
        f"`launcher plan RECIPE --cloud {cloud}` shows the plan",
    )
