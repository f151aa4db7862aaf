"""What the columns of the fault matrix share."""

import json
import shutil
from pathlib import Path

import pytest

from tests.launcher.conftest import environment, finished_runs, processes, small, toy, toy_image
from tests.support.engine import engine
from tests.support.objects import gate, objects, server

from .matrix import Around, export

__all__ = [
    "engine",
    "environment",
    "finished_runs",
    "gate",
    "objects",
    "processes",
    "server",
    "small",
    "toy",
    "toy_image",
]


@pytest.fixture
def undisturbed(toy):
    """The files that a launch brings home when nothing goes wrong."""
    toy.finish(stages="whole")
    found = export(toy.home())
    shutil.rmtree("runs")
    return found


@pytest.fixture
def around(toy, undisturbed, request):
    """Makes what a cell's row needs beside a launch, once the user has a site file."""

    def made(cell):
        if cell.row == "disk full":
            disk = request.getfixturevalue("small")
            (toy.root / "runs").symlink_to(disk)
            return Around(undisturbed, disk=disk)
        if cell.row == "store unreachable":
            objects = request.getfixturevalue("objects")
            toy.env.update(objects.keys)
            path = Path(toy.env["XDG_CONFIG_HOME"]) / "launcher/site.yaml"
            bucket = {"url": objects.bucket.url, "endpoint": objects.bucket.endpoint}
            path.write_text(json.dumps({**json.loads(path.read_text()), "bucket": bucket}))
            return Around(undisturbed, gate=request.getfixturevalue("gate"))
        return Around(undisturbed)

    return made
