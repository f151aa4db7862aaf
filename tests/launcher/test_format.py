import pytest

from launcher.format import duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0s"), (59.9, "59s"), (60, "1m 00s"), (725, "12m 05s"), (3599, "59m 59s"), (12000, "3h 20m")],
)
def test_a_duration_is_short(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_500_000, "2 MB"),
        (999 * 10**9, "999 GB"),
        (12 * 10**12, "12.0 TB"),
    ],
)
def test_bytes_are_shown_in_powers_of_ten(amount, text):
    assert size(amount) == text
