"""An image as one file on the shared storage of a cluster, for Pyxis or Apptainer: its path, and the script that makes
it. Pure."""

import re

from launcher.config.slurm import APPTAINER
from launcher.runfolder.plan import Image


def path_of(image: Image, software: str) -> str:
    """The path of the file below the folder of all runs: the same image gives the same name."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", reference(image))
    return f".images/{name}.{'sif' if software == APPTAINER else 'sqsh'}"


def reference(image: Image) -> str:
    """The image as a registry knows it."""
    return image.name + (f"@{image.digest}" if image.digest else "")


def address(image: Image, software: str) -> str:
    """The image as the program that imports it needs it: Enroot has `#` after the host of a registry."""
    host, slash, rest = reference(image).partition("/")
    has_registry = slash and ("." in host or ":" in host or host == "localhost")
    return f"docker://{host}#{rest}" if has_registry and software != APPTAINER else f"docker://{reference(image)}"


LOOK = '[ ! -s "$1" ] || echo made'
IMPORT = """\
# FILE ADDRESS SOFTWARE: makes the file, unless it is there
set -euo pipefail
file=$1 address=$2
mkdir -p -- "${file%/*}"
exec 9> "$file.lock"
flock 9
[ ! -s "$file" ] || exit 0
rm -f -- "$file.part"
if [ "$3" = apptainer ]; then
    apptainer pull --force "$file.part" "$address" >&2
else
    enroot import --output "$file.part" "$address" >&2
fi
mv -- "$file.part" "$file"
"""
