"""The whole recipe in its own image on a real engine."""

import contextlib
import json
import os
import shutil

import pytest

from launcher.backends.docker import FOLDER
from launcher.images.docker_engine import connect

from .conftest import ROOT, make_place
from .test_kills import EXACT, reached


@pytest.fixture
def place(engine, cpu_image, tmp_path):
    """A project that is no git checkout, so that it is as committed as it can be; its image, and no network."""
    root = tmp_path / "project"
    for name in ("launcher", "recipes", "jobs", "images", "locks"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", ".wheels", ".sbom"))
    cpu_image("gad-tiny")
    place = make_place(tmp_path, root)
    (tmp_path / "config/launcher/site.yaml").write_text(f"runs: {tmp_path}/runs\ndocker: {{offline: true}}\n")
    return place


def test_in_its_image_a_killed_rehearsal_comes_to_the_same_end_as_an_undisturbed_one_outside(finished, place):
    process = place.start("--docker")
    place.wait(lambda: process.poll() is not None or reached(place, "adversarial", 3))
    with contextlib.closing(connect()) as client:
        [container] = client.containers.list(filters={"label": f"{FOLDER}={place.store}"})
        container.kill()
        _, errors = process.communicate()
        assert (process.returncode, errors) == (
            33,
            "error: the node program was killed\n\nhint: launch again: the run continues\n",
        )
        done = place.rehearse("--docker")
        assert done.returncode == 0, done.stdout + done.stderr
        assert client.containers.list(all=True, filters={"label": f"{FOLDER}={place.store}"}) == []
    assert place.done("warmup")["attempt"] == 1 and place.done("adversarial")["attempt"] == 2
    assert place.done("verify")["metrics"]["largest_difference"] == 0
    assert "all sha256 match the manifest" in done.stdout
    for name in ("warmup", "adversarial"):
        before, after = finished.steps(name), place.steps(name)
        assert after.keys() == before.keys()
        for step, metrics in before.items():
            for key in EXACT:
                if key in metrics:
                    assert after[step][key] == pytest.approx(metrics[key], rel=1e-4, abs=1e-5), (name, step, key)
    for path in place.store.rglob("*"):
        assert path.lstat().st_uid == os.getuid(), path
    lineage = json.loads((place.home / "manifest.json").read_text())["lineage"]
    assert lineage["image"]["variant"] == "cpu" and lineage["image"]["digest"].startswith("sha256:")
