"""Images as files on a cluster."""

import dataclasses
import os
import subprocess

import pytest

from launcher.backends.slurm.image_file import IMPORT, address, path_of
from launcher.runfolder.plan import Image

IMAGE = Image("ghcr.io/acme/launcher-gad:cuda-1", "cuda", "l", "c")


def test_the_same_image_is_the_same_file_and_another_one_is_not():
    assert path_of(IMAGE, "pyxis") == ".images/ghcr.io_acme_launcher-gad_cuda-1.sqsh"
    pinned = dataclasses.replace(IMAGE, digest="sha256:00")
    assert path_of(pinned, "apptainer") == ".images/ghcr.io_acme_launcher-gad_cuda-1_sha256_00.sif"


@pytest.mark.parametrize(
    ("name", "enroot"),
    [
        ("ghcr.io/acme/gad:1", "docker://ghcr.io#acme/gad:1"),
        ("localhost/gad:1", "docker://localhost#gad:1"),
        ("acme/gad:1", "docker://acme/gad:1"),
    ],
)
def test_enroot_wants_a_registry_s_host_set_apart(name, enroot):
    image = dataclasses.replace(IMAGE, name=name)
    assert address(image, "pyxis") == enroot
    assert address(image, "apptainer") == f"docker://{name}"


STUB = '#!/bin/sh\necho "$0 $*" >> "$CALLS"\nfor word; do case $word in *.part) echo image > "$word";; esac; done\n'


@pytest.mark.parametrize(
    ("software", "words"),
    [
        ("pyxis", "enroot import --output {part} docker://x"),
        ("apptainer", "apptainer pull --force {part} docker://x"),
    ],
)
def test_an_image_is_imported_once_and_whole(tmp_path, software, words):
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}
    for name in ("enroot", "apptainer"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    file = tmp_path / "a b/image.sqsh"
    for _ in range(2):
        argv = ["bash", "-s", "--", str(file), "docker://x", software]
        done = subprocess.run(argv, input=IMPORT, text=True, env=env, capture_output=True)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text() == f"{tmp_path}/{words.format(part=f'{file}.part')}\n"
    assert sorted(path.name for path in file.parent.iterdir()) == ["image.sqsh", "image.sqsh.lock"]


def test_an_import_that_fails_leaves_no_image(tmp_path):
    (tmp_path / "enroot").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "enroot").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv = ["bash", "-s", "--", str(tmp_path / "image"), "docker://x", "pyxis"]
    assert subprocess.run(argv, input=IMPORT, text=True, env=env, capture_output=True).returncode == 1
    assert not (tmp_path / "image").exists()
