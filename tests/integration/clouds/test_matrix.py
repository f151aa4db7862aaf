"""The fault matrix on rented machines."""

import contextlib

import docker
import pytest

from tests.faults.cells import CLOUDS, cells
from tests.faults.clouds import Rented
from tests.faults.conftest import around, undisturbed
from tests.faults.docker import holding
from tests.faults.matrix import carry_out
from tests.integration.clouds.conftest import REGISTRY, site
from tests.support.chance import SEED

__all__ = ["around", "undisturbed"]

HELD = "registry.test/held"


@pytest.fixture(scope="session")
def holding_image(engine, toy_image, tmp_path_factory):
    """Under a name of its own: beside these cells others may build, and rent, the image as it is."""
    name = toy_image.replace(REGISTRY, HELD)
    return holding(engine, toy_image, tmp_path_factory.mktemp("holding"), name)


@pytest.mark.parametrize(
    "cell", [cell for cloud in CLOUDS for cell in cells(cloud)], ids=lambda cell: f"{cell.column}-{cell.name}"
)
def test_nothing_is_lost(cell, around, holding_image, rented, providers):
    site(rented, registry=HELD)
    with contextlib.closing(docker.from_env()) as client:
        kept = cell.draws(SEED).random() < 0.5
        place = Rented(rented, ("--cloud", cell.column), providers=providers, client=client, kept=kept)
        carry_out(cell, place, around(cell))
