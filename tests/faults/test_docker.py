"""The fault matrix in the recipe's image, on a real engine."""

import contextlib
import os

import pytest

from launcher.images.docker_engine import connect
from tests.faults.cells import cells
from tests.faults.docker import Docker, holding
from tests.faults.matrix import carry_out


@pytest.fixture(scope="session")
def holding_image(engine, toy_image, tmp_path_factory):
    return holding(engine, toy_image, tmp_path_factory.mktemp("holding"))


@pytest.mark.parametrize("cell", cells("docker"), ids=lambda cell: cell.name)
def test_nothing_is_lost(cell, toy, holding_image, around):
    toy.env["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
    with contextlib.closing(connect()) as client:
        backend = Docker(toy, client=client)
        try:
            carry_out(cell, backend, around(cell))
        finally:
            backend.clear()
