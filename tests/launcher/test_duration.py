import pytest

from launcher.duration import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0s"), (59.9, "59s"), (60, "1m 00s"), (725, "12m 05s"), (3599, "59m 59s"), (12000, "3h 20m")],
)
def test_a_duration_is_short(seconds, text):
    assert duration(seconds) == text
