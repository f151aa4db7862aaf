"""An image on a cluster's shared storage, one file for Pyxis or Apptainer: where it is, and what makes it. Pure."""

import re

from launcher.config.slurm import APPTAINER
from launcher.runfolder.plan import Image


def beside(image: Image, software: str) -> str:
    """The image's file, relative to the folder of all runs: the same image gives the same name."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", reference(image))
    return f".images/{name}.{'sif' if software == APPTAINER else 'sqsh'}"


def reference(image: Image) -> str:
    """The image as a registry knows it."""
    return image.name + (f"@{image.digest}" if image.digest else "")


def address(image: Image, software: str) -> str:
    """The image as the program that imports it wants it said: Enroot has `#` after a registry's host."""
    host, slash, rest = reference(image).partition("/")
    named = slash and ("." in host or ":" in host or host == "localhost")
    return f"docker://{host}#{rest}" if named and software != APPTAINER else f"docker://{reference(image)}"


LOOK = '[ ! -s "$1" ] || echo made'
IMPORT = """\
# FILE ADDRESS SOFTWARE: the file is there, made once, whoever asks
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
