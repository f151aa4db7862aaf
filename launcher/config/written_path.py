"""A path as a user writes it: `~` is a home folder."""

from pathlib import Path

from launcher.errors import LaunchError


def expanded(path: str | Path) -> Path:
    """The path with its `~` or `~user` replaced. Raises LaunchError when there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise LaunchError(f"`{path}`: there is no such user", "a file of that name is `./~...`") from None
