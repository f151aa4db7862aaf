"""The fault matrix as jobs of a real Slurm."""

import pytest

from tests.faults.cells import cells
from tests.faults.matrix import carry_out
from tests.faults.slurm import Slurm
from tests.support.slurm.there import there

__all__ = ["there"]


@pytest.mark.parametrize("cell", cells("slurm"), ids=lambda cell: cell.name)
def test_nothing_is_lost(cell, there, around):
    there.toy.patience = 150
    backend = Slurm(there.toy, there=there)
    backend.prepare(cell.row)
    carry_out(cell, backend, around(cell))
