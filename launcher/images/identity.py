"""A recipe's image: its name and the identity that is baked in. The same files give the same name."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import launcher
from launcher.errors import LaunchError, check_known
from launcher.runfolder.files import tree_hash
from launcher.runfolder.plan import Code, Image

VARIANTS = ("cpu", "cuda")
PROGRAM = ("launcher/node", "launcher/runfolder")
"""The folders of the node program: what images carry of the launcher, and what goes to machines."""
SHORT = 12
"""Hex digits of a hash in a name."""


def image_of(root: Path, image: str, family: str, variant: str, registry: str | None = None) -> Image:
    """The image that the files under `root` describe, not yet built. Raises LaunchError when a file is absent."""
    lock = _hash(root, [*_base_files(variant), f"images/{image}/Dockerfile"])
    trees = tree_hash(node_home(root), PROGRAM) + tree_hash(root, recipe_folders(root, family))
    code = hashlib.sha256(trees.encode()).hexdigest()
    both = hashlib.sha256(f"{lock}{code}".encode()).hexdigest()
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return Image(f"{prefix}launcher-{image}:{variant}-{both[:SHORT]}", variant, lock, code)


def environment_of(root: Path, variant: str) -> str | None:
    """sha256 over the packages that a variant locks, in an image or out of it; None where nothing is locked."""
    files = [root / f"locks/{variant}.{kind}" for kind in ("in", "lock")]
    if not all(path.is_file() for path in files):
        return None
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def base_name(root: Path, variant: str, registry: str | None = None) -> str:
    """The name of what the recipes' images of one variant share."""
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return f"{prefix}launcher-base:{variant}-{_hash(root, _base_files(variant))[:SHORT]}"


def identity(image: Image) -> dict[str, str]:
    """What an image says about itself, in its labels and in `/opt/launcher/image.json`."""
    return {"launcher.variant": image.variant, "launcher.lock": image.lock, "launcher.code": image.code}


def labels(image: Image, code: Code) -> dict[str, str]:
    """The identity, and OCI's words for where it came from."""
    return {
        **identity(image),
        "org.opencontainers.image.title": image.name.rpartition("/")[2].partition(":")[0],
        "org.opencontainers.image.revision": (code.commit or "unknown") + ("-dirty" if code.dirty else ""),
    }


def recipe_folders(root: Path, family: str) -> tuple[str, ...]:
    """The recipes' code that an image carries below /opt/launcher, beside the node program."""
    return tuple(folder for folder in ("recipes/common", f"recipes/{family}") if (root / folder).is_dir())


def node_home(root: Path) -> Path:
    """The folder that holds the node program: `root`, or where this program is installed."""
    return (
        root if all((root / folder).is_dir() for folder in PROGRAM) else Path(launcher.__file__).resolve().parent.parent
    )


def _base_files(variant: str) -> tuple[str, ...]:
    check_known(variant, VARIANTS, f"`{variant}` is not a variant of an image")
    return (f"locks/{variant}.in", f"locks/{variant}.lock", "locks/sky.lock", "images/base/Dockerfile")


def _hash(root: Path, files: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for name in files:
        if not (root / name).is_file():
            raise LaunchError(f"`{root / name}` does not exist", "a recipe's image is images/<image>/Dockerfile")
        whole.update(f"{name}\0{hashlib.sha256((root / name).read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
