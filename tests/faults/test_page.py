"""The cells, and the page that tells of them."""

from types import SimpleNamespace

import pytest

from tests.faults import page
from tests.faults.cells import COLUMNS, PHASES, ROWS, Cell, cells, why_not
from tests.faults.matrix import FAULTS
from tests.faults.moments import moment
from tests.support.chance import left


def test_every_row_has_a_fault_and_a_cell_somewhere_and_what_is_none_has_a_reason():
    assert FAULTS.keys() == ROWS.keys()
    assert {cell.row for column in COLUMNS for cell in cells(column)} == ROWS.keys()
    for column in COLUMNS:
        for row in ROWS:
            for phase in PHASES:
                cell = Cell(row, column, phase)
                assert (cell in cells(column)) == (why_not(cell) is None)
                assert why_not(cell) != ""


@pytest.mark.parametrize("column", COLUMNS)
def test_a_seed_draws_one_moment_and_another_seed_others(column):
    for cell in cells(column):
        assert moment(cell, cell.draws(1)) == moment(cell, cell.draws(1))
    drawn = [[moment(cell, cell.draws(seed)) for cell in cells(column)] for seed in (1, 2)]
    assert drawn[0] != drawn[1]


def test_a_page_remembers_what_is_not_run_again(tmp_path):
    path, (first, second, *_) = tmp_path / "page.md", cells("local")
    other = cells("slurm")[-1]
    for cell, passed in ((first, False), (second, True), (other, True), (first, True)):
        page.record(path, cell, passed, 30.0, 7)
    found = page.read(path.read_text())
    assert found.ends == {first: page.PASSED, second: page.PASSED, other: page.PASSED}
    [run] = [value for key, value in found.runs.items() if key[1] == "local"]
    assert run == (3, 2, 1.5)
    assert page.text(found) == path.read_text()
    assert f"| local | {len(cells('local'))} | 2 | 0 | {len(cells('local')) - 2} |\n" in path.read_text()


def test_a_cell_that_fails_is_told_in_bold(tmp_path):
    page.record(tmp_path / "page.md", cells("docker")[0], False, 1.0, 7)
    assert "**failed**" in (tmp_path / "page.md").read_text()


def test_what_is_left_is_all_but_the_cells_that_have_passed(tmp_path):
    path, (first, second, third, *_) = tmp_path / "page.md", cells("local")
    for cell, passed in ((first, False), (second, True)):
        page.record(path, cell, passed, 30.0, 7)
    items = [SimpleNamespace(callspec=SimpleNamespace(params={"cell": cell})) for cell in (first, second, third)]
    others = [SimpleNamespace(), SimpleNamespace(callspec=SimpleNamespace(params={"cloud": "runpod"}))]
    assert left([*items, *others], path.read_text()) == [items[0], items[2], *others]
