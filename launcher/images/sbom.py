"""What the locks put into an image, as a CycloneDX bill of materials next to it."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from launcher.runfolder.plan import Image

FOLDER = "images/.sbom"


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
