import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from launcher.report.charts import HEIGHT, WIDTH, chart, finite_points, short, thin

NUMBERS = some.lists(some.floats(-1e300, 1e300), min_size=1, max_size=60)


def points_of(drawn):
    return json.loads(drawn.data)


def labels_of(drawn):
    return [text for text, *_ in drawn.labels]


def marks_of(drawn, kind):
    return [line for line in drawn.lines if line[-1] == kind]


@given(NUMBERS)
def test_every_point_lies_in_the_drawing(values):
    drawn = chart("loss", tuple(enumerate(values, 1)))
    for x, y, _, _ in points_of(drawn):
        assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
    assert "nan" not in str(drawn) and "inf" not in str(drawn)


def test_higher_values_are_higher_up_and_the_scale_is_told():
    drawn = chart("<loss>", ((1, 10.0), (5, 2.0), (9, 6.0)))
    (x1, high, *_), (x2, low, *_), (x3, middle, *_) = points_of(drawn)
    assert x1 < x2 < x3 and high < middle < low
    assert labels_of(drawn) == ["2", "10", "step 1", "9"]
    assert (drawn.name, drawn.value) == ("<loss>", "6")
    assert drawn.description == "<loss>: 10 at first, 6 at last"


def test_a_curve_that_is_flat_or_one_point_is_in_the_middle():
    flat = chart("a", ((1, 0.0), (2, 0.0)))
    assert labels_of(flat) == ["0", "step 1", "2"]
    single = chart("a", ((7, 5.0),))
    assert single.dot[0] == "196.0" and not single.path


def test_restarts_and_checkpoints_are_marked_where_they_lie_within():
    drawn = chart("a", ((10, 1.0), (20, 2.0)), restarts=(5, 10, 15), safe=(5, 12, 20))
    assert len(marks_of(drawn, "restart")) == 1
    assert len(marks_of(drawn, "safe")) == 2


def test_a_long_curve_keeps_its_ends_and_every_spike():
    points = [(float(at), 0.0) for at in range(100_000)]
    points[31_234] = (31_234.0, 9.0)
    points[77_777] = (77_777.0, -9.0)
    found = thin(points)
    assert len(found) <= 400
    assert found[0] == points[0] and found[-1] == points[-1]
    assert points[31_234] in found and points[77_777] in found
    assert found == sorted(found)
    assert thin(points[:400]) == points[:400]


def test_what_is_no_number_is_left_out():
    assert finite_points([(2, 1), (1, math.nan), (3, math.inf), (4, "x"), (5, None), (0, 0.5)]) == (
        (0.0, 0.5),
        (2.0, 1.0),
    )


@pytest.mark.parametrize(
    ("value", "says"), [(12345.0, "12,345"), (0.000012345, "1.234e-05"), (1e12, "1e+12"), (0.5, "0.5"), (-0.0, "0")]
)
def test_numbers_are_short(value, says):
    assert short(value) == says
