"""The locks are what their inputs resolve to, whole and with hashes, for the machines they are for."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from launcher.config.recipe import families, names, read_recipe

ROOT = Path(__file__).parent.parent.parent.parent
UV = ROOT / ".venv/bin/uv"
LOCKS = ("launcher", "clouds", "cpu", "vllm", "cuda", "sky")
ONLY_CPU = {"torch", "hypothesis", "pytest"}
"""verl decides torch's version on GPUs, and tests stay out."""


def pins(name):
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", (ROOT / f"locks/{name}.lock").read_text(), re.M))


def wanted(name):
    lines = (ROOT / f"locks/{name}.in").read_text().splitlines()
    found = (re.match(r"([A-Za-z0-9._-]+)(?:\[.*])?(.*)", line) for line in lines if line and line[0] != "#")
    return {one.group(1).lower(): one.group(2) for one in found}


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """The locks, resolved again with their own versions preferred."""
    folder = tmp_path_factory.mktemp("locks")
    for name in LOCKS:
        shutil.copy(ROOT / f"locks/{name}.lock", folder)
    subprocess.run([ROOT / "locks/resolve", folder], check=True)
    return folder


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_resolved_again_has_the_same_bytes(again, name):
    assert (again / f"{name}.lock").read_bytes() == (ROOT / f"locks/{name}.lock").read_bytes()


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_a_version_and_a_hash(name):
    text = (ROOT / f"locks/{name}.lock").read_text()
    blocks = [one for one in re.split(r"^(?=[^\s#])", text, flags=re.M) if one.strip() and one[0] != "#"]
    assert len(blocks) > 50
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==\S+", block) and "--hash=sha256:" in block, block


def test_the_locks_of_the_laptop_agree_and_build_the_wheel_of_skypilot_that_images_hold():
    ours, clouds, node = pins("launcher"), pins("clouds"), pins("sky")
    assert {name: version for name, version in clouds.items() if name in ours} == {
        name: version for name, version in ours.items() if name in clouds
    }
    for name in ("skypilot", "pip", "setuptools", "wheel"):
        assert clouds[name] == node[name]


def test_vllm_for_a_cpu_comes_beside_the_rest_and_changes_none_of_it():
    assert not pins("cpu").keys() & pins("vllm").keys()


def test_gpus_get_all_that_rehearsals_get_in_the_same_versions():
    cpu, cuda = wanted("cpu"), wanted("cuda")
    assert {name: version for name, version in cpu.items() if name not in ONLY_CPU}.items() <= {
        name.removesuffix("[vllm]"): version for name, version in cuda.items()
    }.items()


@pytest.mark.parametrize("family", families(ROOT))
@pytest.mark.parametrize("lock", ["cpu", "cuda"])
def test_a_recipe_s_packages_are_those_of_the_locks(lock, family):
    recipe = next(read_recipe(name, ROOT) for name in names(ROOT) if name.startswith(f"{family}-"))
    assert recipe.file.packages.items() <= pins(lock).items()


def test_there_is_one_cuda_toolkit_and_torch_is_made_for_it():
    found = pins("cuda")
    parts = ["cuda-nvcc", "cuda-crt", "nvvm", "cuda-cccl", "cuda-runtime", "cuda-nvrtc", "nvjitlink"]
    assert {found[f"nvidia-{part}"][:5] for part in parts} == {found["cuda-toolkit"][:5]} == {"13.0."}


def test_all_of_cuda_lock_is_there_for_x86_64_linux(tmp_path):
    platform = ["--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.11", "--target", str(tmp_path)]
    hard = ["--no-config", "--no-python-downloads", "--no-deps", "--require-hashes"]
    argv = [UV, "pip", "install", "--dry-run", *platform, *hard, "-r", ROOT / "locks/cuda.lock"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"Would install {len(pins('cuda'))} packages" in done.stderr
