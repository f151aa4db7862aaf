"""The fault matrix on this machine."""

import pytest

from tests.faults.cells import cells
from tests.faults.local import Local
from tests.faults.matrix import carry_out


@pytest.mark.parametrize("cell", cells("local"), ids=lambda cell: cell.name)
def test_nothing_is_lost(cell, toy, around):
    carry_out(cell, Local(toy), around(cell))
