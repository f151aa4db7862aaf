import math

import pytest

from launcher.format import BARS, sparkline


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 8, ""),
        ([1.0], 8, "▄"),
        ([2.0, 2.0], 8, "▄▄"),
        ([1, 2, 3, 4, 5, 6, 7, 8], 8, BARS),
        ([8, 1], 8, "█▁"),
        ([0, 0, 10, 10], 2, "▁█"),
        ([0, math.nan, 10], 3, "▁ █"),
        ([math.nan, math.inf], 3, "  "),
        ([-1e308, 1e308], 2, "▁█"),
    ],
)
def test_each_character_is_the_mean_of_its_share(values, width, line):
    assert sparkline(values, width) == line


def test_a_long_row_fits_the_width():
    assert len(sparkline([float(one) for one in range(10_000)], 32)) == 32
