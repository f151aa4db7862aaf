"""The learning rate rises, stays and falls; heavy logs come at growing distances."""

import pytest

from recipes.honest_persona.schedule import heavy_steps, rate_factor


def test_it_rises_in_a_line_stays_and_falls_along_half_a_cosine():
    factors = [rate_factor(step, 100, 0.1, 0.5, 0.05) for step in range(1, 101)]
    assert factors[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert factors[9:50] == [1.0] * 41
    assert factors[74] == pytest.approx(0.05 + 0.95 / 2)
    assert factors[-1] == pytest.approx(0.05)
    assert factors[50:] == sorted(factors[50:], reverse=True)


def test_without_parts_it_is_flat():
    assert {rate_factor(step, 10, 0, 0, 0.05) for step in range(1, 11)} == {1.0}


@pytest.mark.parametrize(
    ("first", "percent", "steps", "found"),
    [
        (10, 100, 100, [10, 20, 40, 80]),
        (1, 2, 5, [1, 2, 3, 4, 5]),
        (100, 2, 110, [100, 102, 105, 108]),
        (1000, 2, 999, []),
        (None, 2, 999, []),
        (3, 0, 6, [3, 4, 5, 6]),
    ],
)
def test_heavy_logs_come_at_growing_distances(first, percent, steps, found):
    assert heavy_steps(first, percent, steps) == found
