"""Building images with the Docker command line: the base first, then a recipe's thin layers on it; and beside an image
what its locks put into it, as a CycloneDX bill of materials."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import FAILED, LaunchError
from launcher.images.identity import PROGRAM, base_name, identity, image_of, labels, node_home, recipe_folders
from launcher.runfolder.plan import Code, Image

WHEELS = "images/.wheels"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
BASED_ON = "org.opencontainers.image.base.name"
ABOVE = "the step that failed is in the output above"
LAST_LINES = 15
"""How much of a failed build's output its error repeats."""
FOLDER = "images/.sbom"


@dataclass(frozen=True)
class Wanted:
    """An image to build from the files below `root`."""

    root: Path
    image: str
    """The folder below images/."""
    family: str
    """Whose recipe it carries."""
    variant: str = "cpu"
    registry: str | None = None
    """The first part of its name, as `ghcr.io/acme`."""
    base: str | None = None
    """An image to use for Debian's, where no registry is reached."""
    push: bool = False
    """Whether the registry gets it."""


def build(wanted: Wanted, code: Code, show: Callable[[str], None]) -> Image:
    """The engine holds the image, and the registry too when it is pushed; what it held under that name already is not
    built again. `show` gets the output as it comes. Raises LaunchError with the end of a failed build's output."""
    docker = os.environ.get("DOCKER", "docker")
    _reach(docker)
    image = image_of(wanted.root, wanted.image, wanted.family, wanted.variant, wanted.registry)
    base = base_name(wanted.root, wanted.variant, wanted.registry)
    if not _held(docker, base):
        if wanted.variant == "cpu" and (torch := cpu_torch(wanted.root)):
            _fetch(torch, wanted.root / WHEELS, show)
        _run(base_argv(docker, wanted, base, os.environ.get("SSL_CERT_FILE")), wanted.root, show)
    if not _held(docker, image.name):
        with tempfile.TemporaryDirectory(prefix="launcher-image-") as folder:
            gather(wanted, Path(folder))
            _run(image_argv(docker, wanted, image, base, code), Path(folder), show)
    if not write_sbom(wanted.root, image):
        show("no SBOM is written: `pip install launcher[images]` for one\n")
    for name in (base, image.name) if wanted.push else ():
        _run([docker, "push", name], wanted.root, show, f"`docker login {wanted.registry}` lets you write there")
    return image


def base_argv(docker: str, wanted: Wanted, name: str, ca: str | None) -> list[str]:
    """The command that builds images/base as `name`, run in the project's folder."""
    file = wanted.root / "images/base/Dockerfile"
    args = {"VARIANT": wanted.variant, **({"BASE": wanted.base} if wanted.base else {})}
    secret = ["--secret", f"id=ca,src={ca}"] if ca else []
    return [*_build(docker, name, file, args, {BASED_ON: wanted.base} if wanted.base else {}), *secret, "."]


def image_argv(docker: str, wanted: Wanted, image: Image, base: str, code: Code) -> list[str]:
    """The command that builds a recipe's image on `base`, run in a folder with the code that goes into it."""
    file = wanted.root / "images" / wanted.image / "Dockerfile"
    args = {"BASE": base, "IDENTITY": json.dumps(identity(image), sort_keys=True)}
    return [*_build(docker, image.name, file, args, {**labels(image, code), BASED_ON: base}), "."]


def torch_argv(torch: str, folder: Path, index: str | None) -> list[str]:
    """The command that brings a wheel for the images' Python and Linux, whatever this machine's are."""
    kind = ["--platform", "manylinux_2_28_x86_64", "--implementation", "cp", "--python-version", "3.11"]
    only = ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", *kind, "--dest", str(folder)]
    return [sys.executable, "-m", "pip", "download", *only, *(["--index-url", index] if index else []), torch]


def gather(wanted: Wanted, folder: Path) -> None:
    """The folder holds what the image carries: the node program, and the recipe with what recipes share."""
    home, no = node_home(wanted.root), shutil.ignore_patterns("__pycache__", ".*")
    for one in PROGRAM:
        shutil.copytree(home / one, folder / one, ignore=no)
    shutil.copy(home / "launcher/__init__.py", folder / "launcher/__init__.py")
    for one in recipe_folders(wanted.root, wanted.family):
        shutil.copytree(wanted.root / one, folder / one, ignore=no)


def _build(docker: str, name: str, file: Path, args: Mapping[str, str], about: Mapping[str, str]) -> list[str]:
    given = [word for key, value in args.items() for word in ("--build-arg", f"{key}={value}")]
    said = [word for key, value in about.items() for word in ("--label", f"{key}={value}")]
    return [docker, "build", "--progress", "plain", "--tag", name, "--file", str(file), *given, *said]


def _reach(docker: str) -> None:
    if not shutil.which(docker):
        raise LaunchError(f"there is no command `{docker}`", "install Docker, or name a client with `DOCKER=`")
    asked = [docker, "version", "--format", "{{.Server.Version}}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["`docker version` failed"]
        raise LaunchError(f"no Docker engine answers: {said[-1]}", "start Docker, or name its socket in DOCKER_HOST")


def _held(docker: str, name: str) -> bool:
    asked = [docker, "image", "inspect", "--format", "{{.Id}}", name]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _fetch(torch: str, folder: Path, show: Callable[[str], None]) -> None:
    """The folder holds this wheel of torch and no other."""
    for old in folder.glob("torch-*.whl"):
        if not old.name.startswith(torch.replace("==", "-") + "-"):
            old.unlink()
    argv = torch_argv(torch, folder, os.environ.get("TORCH_INDEX"))
    _run(argv, folder.parent, show, f"`TORCH_INDEX={TORCH_INDEX}` names the index that has `{torch}`")


def _run(argv: Sequence[str], folder: Path, show: Callable[[str], None], hint: str = ABOVE) -> None:
    """Raises LaunchError with the last lines of what the command said."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    env = {**os.environ, "DOCKER_BUILDKIT": "1"}
    out = subprocess.PIPE
    with subprocess.Popen(argv, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT, errors="replace") as child:
        for line in child.stdout or ():
            show(line)
            last.append(line)
    if child.returncode:
        said = "".join(last).rstrip()
        if "buildx component is missing" in said:
            raise LaunchError(
                f"`{argv[0]}` builds with BuildKit only through its plugin `buildx`, which is not installed",
                "install it (Debian: `docker-buildx`), or name another client: `DOCKER=/usr/bin/docker`",
            )
        command = " ".join(argv[: 4 if argv[0] == sys.executable else 2])
        raise LaunchError(f"`{command}` ended with exit code {child.returncode}:\n{said}", hint, FAILED)


def sbom_path(root: Path, image: Image) -> Path:
    return root / FOLDER / f"{image.name.rpartition('/')[2].replace(':', '-')}.cdx.json"


def write_sbom(root: Path, image: Image) -> bool:
    """Whether it was written: the library for it is no need of the launcher's. The same locks give the same bytes."""
    if not importlib.util.find_spec("cyclonedx_py"):
        return False
    path = sbom_path(root, image)
    path.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "-o", str(path), "-"]
    subprocess.run(argv, input=requirements(root, image.variant), capture_output=True, text=True, check=True)
    return True


def requirements(root: Path, variant: str) -> str:
    """The lock of the packages, the lock of SkyPilot's runtime, and torch where the lock leaves it out."""
    texts = [(root / f"locks/{name}.lock").read_text() for name in (variant, "sky")]
    return "\n".join([*texts, (cpu_torch(root) or "") if variant == "cpu" else ""])


def cpu_torch(root: Path) -> str | None:
    """`torch==2.13.0+cpu`: what cpu.lock leaves out, because another index has it."""
    found = re.search(r"^torch==\S+", (root / "locks/cpu.in").read_text(), re.M)
    return f"{found.group()}+cpu" if found else None
